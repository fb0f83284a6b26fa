# Runs in the process that precompiles a companion. It makes Julia infer and compile the statements, so that Julia's image
# writer keeps their code.

# The flags of a code instance are in a byte whose name differs between versions.
const FLAGS = fieldoffset(Core.CodeInstance, findfirst(in((:specsigflags, :isspecsig, :flags)), fieldnames(Core.CodeInstance)))
const FROM_IMAGE = 0x04

flags_of(code::Core.CodeInstance) = GC.@preserve code unsafe_load(Ptr{UInt8}(pointer_from_objref(code)) + FLAGS)

is_constant(code::Core.CodeInstance) = code.invoke == unsafe_load(cglobal(:jl_fptr_const_return_addr, Ptr{Cvoid}))

# Is this native code from an image? `invoke` does not tell: this process may have compiled the code itself
# (julia#60643).
has_image_code(code) = flags_of(code) & FROM_IMAGE != 0 || is_constant(code)

# This has an effect only in this process, since objects from other images are not written again.
hide!(code) = set_max_world!(code, UInt(0))
show_again!(code) = set_max_world!(code, typemax(UInt))

# Code instances of images that were hidden: inference went by them until then.
const HIDDEN = Base.IdSet{Any}()

"The compiler's own methods are left alone: it runs while they would be hidden."
function is_compilers(method::Method)
    mod = method.module
    while true
        nameof(mod) === :Compiler && return true
        parent = parentmodule(mod)
        parent === mod && return false
        mod = parent
    end
end

"May the compiler be using this code? It also uses methods of `Core`."
is_in_use(code::Core.CodeInstance, method::Method) = method.module === Core && code.invoke != C_NULL

"""
Compile one signature. Returns the outcome, and the code instance that sessions have to insert, or `nothing`.
"""
function train(@nospecialize type)
    matches = Base._methods_by_ftype(type, -1, Base.get_world_counter())
    (matches === nothing || matches === false || isempty(matches)) && return ("NoSuchMethod", nothing)
    instance = instance_of(type, Base.get_world_counter())
    (!(instance isa Core.MethodInstance) || is_compilers(instance.def)) && return (precompile(type) ? "compiled" : "NotCompiled", nothing)
    hidden = Core.CodeInstance[]
    if isdefined(instance, :cache)
        code = instance.cache
        while true
            # Code that this process has inferred is kept anyway. If it were hidden, the code instance that replaces it would
            # be a second one, which is not kept.
            if is_valid(code) && is_of_before(code)
                if has_image_code(code) || is_in_use(code, instance.def)
                    foreach(show_again!, hidden)
                    has_image_code(code) && return ("AlreadyNative", nothing)
                    return (precompile(type) ? "compiled" : "NotCompiled", nothing)
                end
                hide!(code)
                push!(hidden, code)
                push!(HIDDEN, code)
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

# ---- generated functions ----
#
# The body that a generator returns may depend on methods of packages that a session loads before the generator's package, and
# Julia keeps no edge for this. So code that this process has inferred with the body of a package's generated function is not
# kept. Code in the packages' own images is Julia's responsibility.

"Method instances of packages' generated functions whose generators this process has run, and all callers that it has inferred with them."
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
            # The list also has signatures of `invoke` between the callers.
            caller isa Core.MethodInstance && push!(stack, caller)
            caller isa Core.CodeInstance && (at = instance_of_code(caller)) !== nothing && push!(stack, at)
        end
    end
    return found
end

instance_of_code(code::Core.CodeInstance) = code.def isa Core.MethodInstance ? code.def : nothing

"Hide the code of a method instance, so that the image writer leaves it out."
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
Train the statements in a file. Code instances that a session has to insert are pushed onto `codes`. The outcome of each
statement is written to the file that the environment names, if any.
"""
function train_all(path::String, codes::Vector{Any})
    SHORTENS && Base.invokelatest(Shortening.begin_edges!)
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
            instance = outcome == "compiled" ? instance_of(type, Base.get_world_counter()) : nothing
            instance isa Core.MethodInstance && (instances[text] = instance)
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
    SHORTENS || return nothing
    # Last, since it changes what this process knows.
    ends = Base.invokelatest(Shortening.end_edges!)::Ends
    out = get(ENV, "NATIVECACHE_ENDS", "")
    isempty(out) || write(out, words_of(ends))
    return nothing
end
