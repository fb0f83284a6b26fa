# Shortens the edges of the image that this process makes; edges.jl says why and what holds them together.
#
# Julia keeps the edges of this process in lists of callers, at each method instance and method table. `begin_edges!` puts
# all of them aside, so that what inference finds from then on stands alone, also where somebody had said the same before:
# an edge that is there already is not added again, and what constant propagation finds below it would hang in the air.

"What runs only then: a module of its own, so that its code can be kept out of NativeCache's image."
module Shortening

using ..NativeCache: anchor, address_of, inferred_here, is_valid, hide!, is_compilers, method_tables, HIDDEN, Ends

"What was there before the training."
mutable struct Before
    world::UInt
    inferred::Base.IdSet{Any}       # by this process: it is in no image, and its edges are put aside
end

const BEFORE = Ref{Union{Nothing,Before}}(nothing)

"Every list of edges there is, with what it belongs to."
function edge_lists()
    lists = Tuple{Any,Vector{Any}}[]
    for table in method_tables()
        isdefined(table, :backedges) && push!(lists, (table, table.backedges))
        Base.visit(table) do method
            for instance in Base.specializations(method)
                isdefined(instance, :backedges) && push!(lists, (instance, instance.backedges))
            end
        end
    end
    return lists
end

"Call `body` for each code instance in the cache of a method instance."
function each_code(body, instance::Core.MethodInstance)
    isdefined(instance, :cache) || return nothing
    code = instance.cache
    while true
        body(code)
        isdefined(code, :next) || return nothing
        code = code.next
    end
end

"""
To be called before anything is inferred for the image. From here on no method may be defined: definitions do not reach what
is put aside.
"""
function begin_edges!()
    for (callee, _) in edge_lists()
        callee.backedges = Any[]
    end
    before = Before(Base.get_world_counter(), Base.IdSet{Any}())
    BEFORE[] = before
    # What this process has inferred for itself would be written, and without its edges.
    for code in copy(inferred_here())
        push!(before.inferred, code)
        method = code.def.def
        is_valid(code) && method isa Method && method.module !== Core && !is_compilers(method) && hide!(code)
    end
    return nothing
end

"""
What the image that this process makes rests on. Code whose dependencies nobody knows is left out. To be called last. `own`
is the module that becomes an image, if it has methods.
"""
function end_edges!(own::Union{Nothing,Module} = nothing)
    # What is inferred from here on is in no image.
    Core.Compiler.track_newly_inferred.x = false
    before = BEFORE[]::Before
    Base.get_world_counter() == before.world || error("a method was defined while the statements were compiled")
    callers = IdDict{Any,Vector{Any}}()     # by what they call
    callees = IdDict{Any,Vector{Any}}()     # by what calls them
    for (callee, list) in edge_lists()
        for caller in list
            # Signatures stand between: of `invoke`, and of calls that no method fits.
            caller isa Core.MethodInstance && callee isa Core.MethodInstance || continue
            push!(get!(Vector{Any}, callers, callee), caller)
            push!(get!(Vector{Any}, callees, caller), callee)
        end
    end
    images = Images()
    stack, unknown = Any[], Any[]
    filter!(code -> is_wanted(code, own) && !(code in before.inferred), inferred_here())
    for code in inferred_here()
        instance = code.def
        # What the writer begins with. The trainer itself has compiled more.
        (own !== nothing || instance.precompiled || !is_in_image(instance.def.module)) && push!(stack, instance)
    end
    seen = Base.IdSet{Any}()
    while !isempty(stack)
        instance = pop!(stack)
        instance in seen && continue
        push!(seen, instance)
        each_code(instance) do code
            if is_in_image(code)
                (is_valid(code) || code in HIDDEN) && !place!(images, code) && push!(unknown, instance)
            elseif is_valid(code) && code in before.inferred
                push!(unknown, instance)
            end
        end
        append!(stack, get(callees, instance, ()))
    end
    leave_out!(unknown, callers, before)
    return ends_of(images)
end

"""
Is it to be written? Of a module's image all that others can call before the module has looked at its ends is left out, and
its own code has the native code that it calls in itself. Of a companion what was inlined wherever it is called.
"""
function is_wanted(code::Core.CodeInstance, own::Union{Nothing,Module})
    method = code.def.def
    is_valid(code) && method isa Method || return false
    own === nothing || return Base.moduleroot(method.module) === own && method.module !== Shortening
    return code.def.precompiled || code.invoke != C_NULL || !is_in_image(method.module)
end

"Is it part of an image that this process has loaded? Julia keeps a bit for that before each object."
is_in_image(@nospecialize(object)) = unsafe_load(Ptr{UInt}(address_of(object)) - sizeof(UInt)) & 4 != 0

"What calls these, and what calls that, is not written."
function leave_out!(unknown::Vector{Any}, callers::IdDict{Any,Vector{Any}}, before::Before)
    seen = Base.IdSet{Any}()
    while !isempty(unknown)
        instance = pop!(unknown)
        instance in seen && continue
        push!(seen, instance)
        each_code(instance) do code
            is_valid(code) && !is_in_image(code) && !(code in before.inferred) && hide!(code)
        end
        append!(unknown, get(callers, instance, ()))
    end
    return nothing
end

"The images of this process, and what was found in each."
struct Images
    ranges::Vector{Tuple{UInt,UInt,Int}}        # first address, end, which image
    anchors::Vector{UInt}                       # by image
    builds::Vector{UInt128}                     # of its package; 0 for the system image
    found::Vector{Vector{Int}}
end

function Images()
    images = Images(Tuple{UInt,UInt,Int}[], UInt[], UInt128[], Vector{Int}[])
    mapped = Dict{String,Vector{Tuple{UInt,UInt}}}()
    for line in eachline("/proc/self/maps")
        words = split(line; limit = 6)
        path = length(words) == 6 ? String(lstrip(words[6])) : ""
        startswith(path, '/') || continue
        from, to = split(words[1], '-')
        push!(get!(Vector{Tuple{UInt,UInt}}, mapped, path), (parse(UInt, from; base = 16), parse(UInt, to; base = 16)))
    end
    anchors = Tuple{UInt,UInt128}[(anchor(), UInt128(0))]
    for (id, mod) in Base.loaded_modules
        build = UInt128(Base.module_build_id(mod))
        Base.in_sysimage(id) || build == 0 || !is_in_image(mod) || push!(anchors, (address_of(mod), build))
    end
    for (address, build) in anchors, ranges in values(mapped)
        any(range -> range[1] <= address < range[2], ranges) || continue
        push!(images.anchors, address)
        push!(images.builds, build)
        push!(images.found, Int[])
        append!(images.ranges, [(from, to, length(images.anchors)) for (from, to) in ranges])
    end
    return images
end

"Note a code instance; `false` if the file that it lies in is not known."
function place!(images::Images, code::Core.CodeInstance)
    address = address_of(code)
    for (from, to, number) in images.ranges
        from <= address < to || continue
        push!(images.found[number], signed(address - images.anchors[number]))
        return true
    end
    return false
end

function ends_of(images::Images)
    system, packages = Int[], Pair{UInt128,Vector{Int}}[]
    for (build, distances) in zip(images.builds, images.found)
        distances = sort!(unique(distances))
        build == 0 ? append!(system, distances) : isempty(distances) || push!(packages, build => distances)
    end
    return Ends(0, system, sort!(packages; by = first))
end

"Forget what only builds run: it is not written then."
function leave_no_trace!(own::Module)
    wanted = Base.IdSet{Any}()
    foreach(code -> push!(wanted, code.def), inferred_here())
    helpers = Base.IdSet{Any}()
    for table in method_tables()
        emptied = false
        Base.visit(table) do method
            Base.moduleroot(method.module) === own || return
            instances = collect(Any, Base.specializations(method))
            others = filter(instance -> !(instance in wanted), instances)
            foreach(instance -> push!(helpers, instance), others)
            foreach(instance -> each_code(hide!, instance), others)
            length(others) == length(instances) > 0 || return
            method.specializations, method.speckeyset = Core.svec(), Any[]
            emptied = true
        end
        if emptied
            # What calls were found there before.
            @atomic table.cache = nothing
            @atomic table.leafcache = Any[]
        end
    end
    for (callee, list) in edge_lists()
        any(in(helpers), list) && (callee.backedges = without_helpers(list, helpers, callee isa Core.MethodTable))
    end
    BEFORE[] = nothing
    return nothing
end

function without_helpers(list::Vector{Any}, helpers::Base.IdSet{Any}, of_table::Bool)
    kept = Any[]
    at = 1
    while at <= length(list)
        # A caller stands alone, or behind a signature.
        last = of_table || !(list[at] isa Core.MethodInstance) ? at + 1 : at
        list[last] in helpers || append!(kept, view(list, at:last))
        at = last + 1
    end
    return kept
end

end
