# What the code of an image rests on, and how that is checked without checking all of it anew in each session.
#
# Julia's image writer notes for each code instance what it calls, what that calls, and so on down through the packages and
# the whole system image, and Julia's loader looks each of these calls up again: ten thousand look-ups for forty statements,
# nine tenths of the time that loading takes. A session that infers the same does not: it takes from the cache what is valid
# in its world, and adds the one edge to it. An image that is shortened does as that session: it has the edges that inference
# has made while the image was trained, those of constant propagation into others' code among them, and a list of the code
# of other images that inference took from the cache, the *ends*. All of these must be valid when it is loaded; what depends
# on one that is not is not used. What changes later reaches the image's code through the edges that Julia's loader makes.
#
# Only Julia 1.10 keeps edges in this way (`SHORTENS` of julia_1_10.jl). On others an image has all of them, and there is
# nothing of this file.

"""
Code instances of other images, by their distance from an object of that image. Objects of an image lie at the same distance
from each other in each session; a companion is only loaded with the very builds that it was made with, of Julia too.
"""
struct Ends
    checksum::UInt                              # of the image that they belong to
    system::Vector{Int}                         # from `anchor()`
    packages::Vector{Pair{UInt128,Vector{Int}}} # build id => from the module
end

anchor() = address_of(Core.MethodInstance)

address_of(@nospecialize(object)) = UInt(pointer_from_objref(object))

"Those of the code instances that are not valid any more."
function invalid_ends(ends::Ends)
    found = Core.CodeInstance[]
    for distance in ends.system
        code = code_at(anchor(), distance)
        # It has been in its method instance's cache all the time.
        code.max_world == typemax(UInt) || push!(found, code)
    end
    for (build, distances) in ends.packages
        start = address_of(module_of(build))
        for distance in distances
            code = code_at(start, distance)
            is_still_valid(code) || push!(found, code)
        end
    end
    return found
end

function module_of(build::UInt128)
    for (_, mod) in Base.loaded_modules
        UInt128(Base.module_build_id(mod)) == build && return mod
    end
    error("a package that the image rests on is not loaded")
end

function code_at(start::UInt, distance::Int)
    address = Ptr{UInt}(start + unsigned(distance))
    # The word before an object is its type and four bits of the collector's.
    unsafe_load(address - sizeof(UInt)) & ~UInt(15) == address_of(Core.CodeInstance) || error("this is not the image that it was made for")
    return unsafe_pointer_to_objref(Ptr{Cvoid}(address))::Core.CodeInstance
end

"""
Is it valid, and has it been so since it was loaded? Julia's loader leaves it outside of the cache where that has one
already, and no definition reaches it there; but then the one in the cache tells.
"""
function is_still_valid(code::Core.CodeInstance)
    code.max_world == typemax(UInt) || return false
    instance = code.def::Core.MethodInstance
    isdefined(instance, :cache) || return false
    other = instance.cache
    while true
        other.max_world == typemax(UInt) && other.min_world <= code.min_world && return true
        isdefined(other, :next) || return false
        other = other.next
    end
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

"Is there no thread but this one?"
is_alone() = Threads.maxthreadid() == 1

"""
What Julia does for a package whose image fits, `Base._include_from_serialized`. The module, or the error. What depends on
code that is not valid is taken out before anything can use it: neither a finalizer nor Ctrl-C comes between.
"""
function restore_image(id::PkgId, cache::String, object::String, modules::Vector{Any}, ends::Ends)
    Base.sigatomic_begin()
    GC.enable_finalizers(false)
    parts = try
        restored = ccall(:jl_restore_package_image_from_file, Any, (Cstring, Any, Cint, Cstring), object, modules, true, id.name)
        # Only now: Julia's loader has not seen what another thread has ended before.
        invalid = restored isa Core.SimpleVector ? invalid_ends(ends) : Core.CodeInstance[]
        isempty(invalid) || Base.invokelatest(take_out!, invalid, restored::Core.SimpleVector)
        restored
    finally
        GC.enable_finalizers(true)
        Base.sigatomic_end()
    end
    parts isa Core.SimpleVector || return parts
    for mod in Base.register_restored_modules(parts, id, cache)
        PkgId(mod::Module) == id && return mod
    end
    return ErrorException("there is no module $(id.name) in $object")
end

# Seldom, so no part of NativeCache's image.
prepare_take_out() = precompile(take_out!, (Vector{Core.CodeInstance}, Core.SimpleVector))

# ---- the list as a file ----
#
# Words: a checksum of the others; the checksum of the image; how many distances from `anchor()`, and these; then for each
# package the two halves of its build id, how many, and these. A session reads it before Julia maps the image.

"The list of a companion; `nothing` if the file is damaged."
function read_ends(path::String)
    bytes = read(path)
    length(bytes) >= 24 && length(bytes) % 8 == 0 || return nothing
    words = Vector{UInt}(undef, length(bytes) ÷ 8)
    GC.@preserve bytes words unsafe_copyto!(Ptr{UInt8}(pointer(words)), pointer(bytes), length(bytes))
    words[1] == sum_of(bytes) || return nothing
    at = 2
    checksum = words[at]
    system, at = distances_at(words, at + 1)
    packages = Pair{UInt128,Vector{Int}}[]
    while at <= length(words)
        build = UInt128(words[at]) << 64 | words[at+1]
        distances, at = distances_at(words, at + 2)
        push!(packages, build => distances)
    end
    return Ends(checksum, system, packages)
end

function distances_at(words::Vector{UInt}, at::Int)
    distances = Vector{Int}(undef, words[at])
    for number in 1:length(distances)
        distances[number] = signed(words[at+number])
    end
    return distances, at + 1 + length(distances)
end

"Of all words but the first."
sum_of(bytes::Vector{UInt8}) = GC.@preserve bytes UInt(ccall(:jl_crc32c, UInt32, (UInt32, Ptr{UInt8}, Csize_t), 0, pointer(bytes) + 8, length(bytes) - 8))

function words_of(ends::Ends)
    words = UInt[0, ends.checksum, length(ends.system)]
    append!(words, map(unsigned, ends.system))
    for (build, distances) in ends.packages
        push!(words, UInt(build >> 64), build % UInt, length(distances))
        append!(words, map(unsigned, distances))
    end
    words[1] = sum_of(Vector{UInt8}(reinterpret(UInt8, words)))
    return words
end

"The same list, for the image that Julia has made meanwhile."
function seal_ends(from::String, to::String, cache::String)
    ends = read_ends(from)
    checksum = open(Base.isvalid_cache_header, cache)
    write(to, words_of(Ends(checksum, ends.system, ends.packages)))
    return nothing
end

# ---- NativeCache's own image ----

"The code of the system image at which the edges of this image end."
const OWN_ENDS = Ends(0, Int[], Pair{UInt128,Vector{Int}}[])

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
        for caller in instance.backedges
            # Signatures of `invoke` stand between the callers.
            caller isa Core.MethodInstance && push!(stack, caller)
        end
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
