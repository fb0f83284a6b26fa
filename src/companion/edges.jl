# What the code of an image depends on, and how that is checked without checking it all anew in each session.
#
# Julia's image writer notes for each code instance what it calls, what that calls, and so on down through the whole system
# image, and Julia's loader looks each of these calls up again: ten thousand look-ups for forty statements, nine tenths of
# the time that loading takes. But a session knows already whether code of its system image still holds: where a call of it
# would end elsewhere now, Julia has invalidated it. So what the system image itself says of its calls is left out of the
# image. In its place stands a list of the code of the system image at which the image's edges end. All of it must be valid
# when the image is loaded; what depends on code that is not is not used. What changes later reaches the image's code through
# the edges that Julia's loader has made to that code.
#
# Only Julia 1.10 keeps edges in this way; on others the image has all of them and the list is empty.

# Objects of the system image lie at the same distance from each other in each session. Julia has made sure that it is the
# same one: images name the builds of Base and Core, and these hold the checksum of the system image.
anchor() = UInt(pointer_from_objref(Core.MethodInstance))

"The code instances that inference has made since this process began to make an image."
inferred_here() = @static VERSION < v"1.12" ? Core.Compiler.newly_inferred : Base.Compiler.newly_inferred

"""
Go through backedges: `body(caller, first, last)` for each, where it stands in the list. A caller stands alone, or behind
the signature of its `invoke`; in those of a method table always behind the signature that found no method.
"""
function each_backedge(body, list::Vector{Any}, of_table::Bool)
    at = 1
    while at <= length(list)
        last = of_table || !(list[at] isa Core.MethodInstance) ? at + 1 : at
        body(list[last]::Core.MethodInstance, at, last)
        at = last + 1
    end
    return nothing
end

# ---- when it is loaded ----

"Those of the code instances at these distances that are not valid any more."
function invalid_ends(ends::Vector{Int})
    found = Core.CodeInstance[]
    start, type = anchor(), UInt(pointer_from_objref(Core.CodeInstance))
    for distance in ends
        address = Ptr{UInt}(start + unsigned(distance))
        # The word before an object is its type and four bits of the collector's.
        unsafe_load(address - sizeof(UInt)) & ~UInt(15) == type || error("this is not the system image that it was made for")
        code = unsafe_pointer_to_objref(address)::Core.CodeInstance
        code.max_world == typemax(UInt) || push!(found, code)
    end
    return found
end

"""
Take what was just restored and depends on these code instances out of use. `restored` is all that Julia's loader says. To
be called before anything else runs.
"""
function take_out!(invalid::Vector{Core.CodeInstance}, restored::Core.SimpleVector)
    codes, calls, edges = restored[4]::Vector{Any}, restored[6]::Vector{Any}, restored[7]::Vector{Any}
    gone = Base.IdSet{Any}()
    foreach(code -> push!(gone, code.def), invalid)
    while true
        before = length(gone)
        for at in 1:2:length(edges)
            edges[at] in gone && continue
            # How many of `calls` it makes, which, and then which other callers it depends on; all counted from 0.
            numbers = edges[at+1]::Vector{Int32}
            for (place, number) in enumerate(numbers)
                place == 1 && continue
                callee = place <= numbers[1] + 1 ? calls[3number+2] : edges[2number+1]
                callee in gone && (push!(gone, edges[at]); break)
            end
        end
        length(gone) == before && break
    end
    for code in codes
        code = code::Core.CodeInstance
        # A world in which it was not there yet.
        code.def in gone && code.max_world == typemax(UInt) && (code.max_world = code.min_world - 1)
    end
    return nothing
end

# ---- NativeCache's own image ----

"The code of the system image at which the edges of this image end."
const OWN_ENDS = Int[]

"""
What of this image depends on code of the system image that is not valid any more is taken out: Julia has loaded it before
anybody could look. Called first of all.
"""
function take_out_own!()
    invalid = invalid_ends(OWN_ENDS)
    isempty(invalid) || Base.invokelatest(take_out_own!, invalid)       # seldom, so no part of this image
    return nothing
end

function take_out_own!(invalid::Vector{Core.CodeInstance})
    world = UInt((first(methods(take_out_own!))::Method).primary_world)
    stack = Core.MethodInstance[code.def for code in invalid]
    seen = Base.IdSet{Any}()
    while !isempty(stack)
        instance = pop!(stack)
        instance in seen && continue
        push!(seen, instance)
        isdefined(instance, :cache) && take_out_of!(instance.cache, world)
        isdefined(instance, :backedges) || continue
        each_backedge((caller, _, _) -> push!(stack, caller), instance.backedges, false)
    end
    return nothing
end

function take_out_of!(code::Core.CodeInstance, world::UInt)
    while true
        code.min_world == world && code.max_world == typemax(UInt) && (code.max_world = world - 1)
        isdefined(code, :next) || return nothing
        code = code.next
    end
end
