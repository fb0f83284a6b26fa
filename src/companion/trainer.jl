# What runs in the process that precompiles a companion: it makes Julia infer and compile the statements, so that the image
# writer keeps their code.

# A code instance's flags lie in a byte whose name has changed.
const FLAGS = fieldoffset(Core.CodeInstance, findfirst(in((:specsigflags, :isspecsig, :flags)), fieldnames(Core.CodeInstance)))
const FROM_IMAGE = 0x04

flags_of(code::Core.CodeInstance) = GC.@preserve code unsafe_load(Ptr{UInt8}(pointer_from_objref(code)) + FLAGS)

is_constant(code::Core.CodeInstance) = code.invoke == unsafe_load(cglobal(:jl_fptr_const_return_addr, Ptr{Cvoid}))

# Native code that a session gets with the image that it is in. `invoke` says nothing here: this process may have compiled
# it (julia#60643).
has_image_code(code) = flags_of(code) & FROM_IMAGE != 0 || is_constant(code)

"Is this code instance of Julia itself, and not of an interpreter that a package brings?"
is_native(code) = @static VERSION < v"1.11" ? true : code.owner === nothing

is_valid(code) = code.max_world == typemax(UInt) && is_native(code)

# Only this process sees it: what lies in an image is not written again.
hide!(code) = @static VERSION < v"1.11" ? (code.max_world = UInt(0)) : (@atomic code.max_world = UInt(0))

"""
Was it inferred before this package began? What this process has inferred is kept anyway, and if it were hidden, what comes
in its place would be a second one that is not.
"""
function is_of_before(code)
    @static if VERSION < v"1.12"
        return !any(known -> known === code, Core.Compiler.newly_inferred)
    else
        return ccall(:jl_object_in_image, UInt8, (Any,), code) != 0
    end
end

"The compiler's own methods are left alone: it runs while they would be hidden."
function is_compilers(method::Method)
    mod = method.module
    while true
        nameof(mod) === :Compiler && return true
        parent = parentmodule(mod)
        parent === mod && return mod === Core
        mod = parent
    end
end

"""
Compile one signature: what became of it, and the code instance that the session has to insert, or `nothing`.
"""
function train(@nospecialize type)
    world = Base.get_world_counter()
    matches = Base._methods_by_ftype(type, -1, world)
    (matches === nothing || matches === false || isempty(matches)) && return ("NoSuchMethod", nothing)
    length(matches) == 1 || return (precompile(type) ? "compiled" : "NotCompiled", nothing)
    match = matches[1]::Core.MethodMatch
    is_compilers(match.method) && return (precompile(type) ? "compiled" : "NotCompiled", nothing)
    instance = ccall(:jl_specializations_get_linfo, Any, (Any, Any, Any),
        match.method, match.spec_types, match.sparams)::Core.MethodInstance
    hidden = Core.CodeInstance[]
    if isdefined(instance, :cache)
        code = instance.cache
        while true
            if is_valid(code)
                if has_image_code(code)
                    foreach(old -> show_again!(old, world), hidden)
                    return ("AlreadyNative", nothing)
                end
                is_of_before(code) || break
                hide!(code)
                push!(hidden, code)
            end
            isdefined(code, :next) || break
            code = code.next
        end
    end
    done = precompile(type)
    done || return ("NotCompiled", nothing)
    isempty(hidden) && return ("compiled", nothing)
    new = instance.cache
    return ("compiled", is_valid(new) && !(new in hidden) ? new : nothing)
end

show_again!(code, world) = @static VERSION < v"1.11" ? (code.max_world = typemax(UInt)) : (@atomic code.max_world = typemax(UInt))

# ---- generated functions ----
#
# What a generator gives may depend on methods of packages that a session loads before the package that it is in, and Julia
# keeps no edge of that. Code that this process has inferred with the body of a package's generated function is therefore not
# kept. What packages keep in their own images is Julia's to answer for.

"The generated functions of packages that this process has run the generators of, and all that it has inferred with them."
function tainted()
    found = Set{Core.MethodInstance}()
    stack = Core.MethodInstance[]
    for code in inferred_here()
        instance = instance_of_code(code)
        instance === nothing && continue
        method = instance.def
        method isa Method && isdefined(method, :generator) && !Base.in_sysimage(Base.PkgId(Base.moduleroot(method.module))) || continue
        push!(stack, instance)
    end
    while !isempty(stack)
        instance = pop!(stack)
        instance in found && continue
        push!(found, instance)
        isdefined(instance, :backedges) || continue
        for caller in instance.backedges
            # Signatures of `invoke` stand between the callers.
            caller isa Core.MethodInstance && push!(stack, caller)
            caller isa Core.CodeInstance && (at = instance_of_code(caller)) !== nothing && push!(stack, at)
        end
    end
    return found
end

instance_of_code(code::Core.CodeInstance) = code.def isa Core.MethodInstance ? code.def : nothing

"The image writer leaves out what is not valid."
function leave_out!(instance::Core.MethodInstance)
    isdefined(instance, :cache) || return nothing
    code = instance.cache
    while true
        is_valid(code) && is_new(code) && hide!(code)
        isdefined(code, :next) || return nothing
        code = code.next
    end
end

is_new(code) = any(known -> known === code, inferred_here())

"""
Train what the file names. The code instances that a session has to insert are pushed onto `codes`; what became of each
statement is written to the file that the environment names, if it names one.
"""
function train_all(path::String, codes::Vector{Any})
    account = IOBuffer()
    outcomes = NTuple{3,String}[]
    instances = Dict{String,Core.MethodInstance}()
    for text in eachline(path)
        isempty(text) && continue
        outcome, detail = "", ""
        try
            type = read_statement(text, loaded_root)
            outcome, code = train(type)
            code === nothing || push!(codes, code)
            instance = outcome == "compiled" ? instance_of_type(type) : nothing
            instance === nothing || (instances[text] = instance)
        catch err
            outcome = err isa Unreadable ? "NoTypeExpression" : "CompilerThrew"
            detail = first(replace(sprint(showerror, err), r"\s+" => ' '), 300)
        end
        push!(outcomes, (outcome, text, detail))
    end
    generated = tainted()
    foreach(leave_out!, generated)
    filter!(code -> !(instance_of_code(code) in generated), codes)
    for (outcome, text, detail) in outcomes
        get(instances, text, nothing) in generated && (outcome = "GeneratedFunction")
        println(account, outcome, '\t', text, '\t', replace(detail, r"[\t\n\\]" => ' '))
    end
    out = get(ENV, "NATIVECACHE_ACCOUNT", "")
    isempty(out) || write(out, take!(account))
    # Last, since it changes what this process knows.
    ends = Base.invokelatest(Shortening.shorten_edges!)::Vector{Int}
    out = get(ENV, "NATIVECACHE_ENDS", "")
    isempty(out) || write(out, ends)
    return nothing
end
