# Shortens the edges of the image that this process makes; edges.jl says why.

"What runs only then: a module of its own, so that its code can be kept out of NativeCache's image."
module Shortening

using ..NativeCache: anchor, inferred_here

"The code instance that inference takes for a method instance in this world, or `nothing`."
first_inferred(instance::Core.MethodInstance, world::UInt) =
    ccall(:jl_rettype_inferred, Any, (Any, UInt, UInt), instance, world, world)

"As in edges.jl; this one is not of the image."
function each_backedge(body, list::Vector{Any}, of_table::Bool)
    at = 1
    while at <= length(list)
        last = of_table || !(list[at] isa Core.MethodInstance) ? at + 1 : at
        body(list[last]::Core.MethodInstance, at, last)
        at = last + 1
    end
    return nothing
end

"The file of the system image, where it is mapped, and how long arrays in it were before anything was added to them."
struct SystemImage
    file::IOStream
    ranges::Vector{NTuple{3,UInt}}      # first address, end, place in the file
end

"Where the system image is mapped; `nothing` if its objects do not lie in a file."
function system_image()
    ranges = Tuple{UInt,UInt,UInt,String}[]
    for line in eachline("/proc/self/maps")
        words = split(line; limit = 6)
        path = length(words) == 6 ? String(lstrip(words[6])) : ""
        startswith(path, '/') || continue
        from, to = split(words[1], '-')
        push!(ranges, (parse(UInt, from; base = 16), parse(UInt, to; base = 16), parse(UInt, words[3]; base = 16), path))
    end
    at = findfirst(range -> range[1] <= anchor() < range[2], ranges)
    at === nothing && return nothing
    path = ranges[at][4]
    isfile(path) || return nothing
    return SystemImage(open(path), [range[1:3] for range in ranges if range[4] == path])
end

function place_in_file(image::SystemImage, @nospecialize(object))
    address = UInt(pointer_from_objref(object))
    for (from, to, offset) in image.ranges
        from <= address < to && return address - from + offset
    end
    return nothing
end

in_image(image::SystemImage, @nospecialize(object)) = place_in_file(image, object) !== nothing

"How many of the array's elements are the system image's own: what came later was pushed behind them."
function own_length(image::SystemImage, list::Vector{Any})
    place = place_in_file(image, list)
    place === nothing && return 0
    seek(image.file, place + sizeof(Ptr{Cvoid}))        # `length` of `jl_array_t`, behind `data`
    return min(Int(read(image.file, UInt)), length(list))
end

"All method tables that the image writer looks through."
function method_tables()
    found = Base.IdSet{Core.MethodTable}()
    push!(found, Symbol.name.mt, DataType.name.mt)
    seen = Base.IdSet{Module}()
    stack = Module[Core; collect(Module, values(Base.loaded_modules))]
    while !isempty(stack)
        mod = pop!(stack)
        mod in seen && continue
        push!(seen, mod)
        for name in Base.unsorted_names(mod; all = true)
            !Base.isdeprecated(mod, name) && isdefined(mod, name) || continue
            value = getglobal(mod, name)
            if value isa Module
                parentmodule(value) === mod && push!(stack, value)
            else
                type = Base.unwrap_unionall(value)
                type isa DataType && isdefined(type.name, :mt) && push!(found, type.name.mt)
            end
        end
    end
    return found
end

"Every list of backedges there is, with what it belongs to."
function backedge_lists()
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

function shorten_in!(image::SystemImage, own::Union{Nothing,Module})
    lists = backedge_lists()
    lengths = Int[own_length(image, list) for (_, list) in lists]
    # caller => what it calls: as the system image says, and as was found since then
    theirs, found = IdDict{Any,Vector{Any}}(), IdDict{Any,Vector{Any}}()
    for (number, (callee, list)) in enumerate(lists)
        each_backedge(list, callee isa Core.MethodTable) do caller, _, last
            push!(get!(Vector{Any}, last <= lengths[number] ? theirs : found, caller), callee)
        end
    end
    # All edges of what was inferred here stay, and those of code of the system image that is not what inference went by.
    whole = Base.IdSet{Any}()
    foreach(code -> push!(whole, code.def), inferred_here())
    for callers in (theirs, found), caller in keys(callers)
        Base.moduleroot(caller.def.module) === own && !is_helper(caller) && push!(whole, caller)
    end
    # A companion is written for what was asked for, and what that calls; not for what the trainer itself runs.
    stack = own === nothing ? filter!(instance -> instance.precompiled, collect(Any, whole)) : collect(Any, whole)
    seen = Base.IdSet{Any}()
    ends = Int[]
    world = Base.get_world_counter()
    while !isempty(stack)
        instance = pop!(stack)
        instance in seen && continue
        push!(seen, instance)
        if !(instance in whole) && in_image(image, instance)
            code = first_inferred(instance, world)
            if code isa Core.CodeInstance && in_image(image, code)
                push!(ends, signed(UInt(pointer_from_objref(code)) - anchor()))
            else
                push!(whole, instance)
            end
        end
        for callees in (instance in whole ? (theirs, found) : (found,)), callee in get(callees, instance, ())
            callee isa Core.MethodInstance && push!(stack, callee)
        end
    end
    for (number, (callee, list)) in enumerate(lists)
        kept = Any[]
        each_backedge(list, callee isa Core.MethodTable) do caller, first, last
            last > lengths[number] || caller in whole || return
            own !== nothing && is_helper(caller) && return
            append!(kept, view(list, first:last))
        end
        length(kept) == length(list) || (callee.backedges = kept)
    end
    return sort!(ends)
end

"""
Leave out of the image that this process makes what the system image says of its own calls. Returns the distances from
`anchor` of the code instances at which its edges end then: all that has to be valid when it is loaded. To be called last;
`own` is the module that becomes an image, if it has methods.
"""
function shorten_edges!(own::Union{Nothing,Module} = nothing)
    VERSION < v"1.11" || return Int[]
    # What is inferred from here on is in no image.
    Core.Compiler.track_newly_inferred.x = false
    image = system_image()
    image === nothing && return Int[]
    try
        return shorten_in!(image, own)
    finally
        close(image.file)
    end
end

is_helper(instance::Core.MethodInstance) = instance.def.module === Shortening

"Forget what was compiled of this module: it is not written then."
function leave_no_trace!()
    for name in names(Shortening; all = true)
        # The type of each function and closure.
        value = getglobal(Shortening, name)
        type = value isa Function ? typeof(value) : value isa DataType && value <: Function ? value : nothing
        type isa DataType && type.name.module === Shortening || continue
        table = type.name.mt
        Base.visit(forget!, table)
        @atomic table.cache = nothing
        @atomic table.leafcache = Any[]
    end
    return nothing
end

function forget!(method::Method)
    for instance in Base.specializations(method)
        isdefined(instance, :cache) || continue
        code = instance.cache
        while true
            code.max_world = UInt(0)
            isdefined(code, :next) || break
            code = code.next
        end
    end
    method.specializations, method.speckeyset = Core.svec(), Any[]
    return nothing
end

end
