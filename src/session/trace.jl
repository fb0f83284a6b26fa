# What this session has compiled. libnativecache looks at it, at the end of the session
# (`ended` in load.jl) or when asked, and merges it into the profiles.

"""
What a trace found: returned by [`NativeCache.trace!`](@ref).

- `looked`: code instances that were looked at; `seconds`: how long that took, writing included
- `compiled`: method instances compiled in this session, neither of the sysimage nor of a library
- `used`: method instances of libraries that the session has called
- `kept`: how many of both went into profiles
- `nowhere`: left out since they refer to `Main` or to a module made there, which no other session has
- `unnamed`: why the others were left out: they refer to something that no other session could find by what a
  profile says of it, such as a closure that no definition mentions, or an address
- `profiles`: packages => (methods in their `trace` layer, new ones among them)
"""
struct Trace
    looked::Int
    compiled::Int
    used::Int
    kept::Int
    nowhere::Int
    unnamed::Vector{String}
    profiles::Vector{Pair{String,Tuple{Int,Int}}}
    seconds::Float64
end

function parse_trace(text::AbstractString)
    numbers = Dict{String,String}()
    unnamed = String[]
    profiles = Pair{String,Tuple{Int,Int}}[]
    for line in split(text, '\n'; keepempty = false)
        fields = fields_of(line)
        if fields[1] == "unnamed"
            push!(unnamed, fields[2])
        elseif fields[1] == "profile"
            push!(profiles, fields[2] => (parse(Int, fields[3]), parse(Int, fields[4])))
        else
            numbers[fields[1]] = fields[2]
        end
    end
    number(name) = parse(Int, numbers[name])
    return Trace(number("looked"), number("compiled"), number("used"), number("kept"), number("nowhere"),
        unnamed, profiles, parse(Float64, numbers["seconds"]))
end

"""
    NativeCache.trace!() -> Trace

Merge what this session has compiled so far into the `trace` layer of the profiles of its packages.
At the end of a session this happens by itself, unless the setting `trace` is `no`.

Nothing but Julia's own data is looked at, so no flag is needed and nothing gets slower. An error
says why nothing could be written.

# Example

    julia> NativeCache.trace!()
    Trace: 212 methods compiled here, 188 of them kept, in 31 ms
      Dates  188 methods, 20 of them new
"""
function trace!()
    return trace_session()
end

Base.show(io::IO, trace::Trace) = print(io, "Trace(", trace.compiled, " compiled, ", trace.kept, " kept)")

function Base.show(io::IO, ::MIME"text/plain", trace::Trace)
    printstyled(io, "Trace"; bold = true)
    print(io, ": ", methods_text(trace.compiled), " compiled here, ", trace.used, " used from libraries, ",
        trace.kept, " kept, in ", time_text(trace.seconds))
    for (package, (methods, new)) in trace.profiles
        print(io, "\n  ", package, ": ", methods_text(methods), ", ", new, " of them new")
    end
    trace.nowhere > 0 && print(io, "\n  ", trace.nowhere, " left out: they refer to `Main`")
    for why in trace.unnamed
        print(io, "\n  left out: ", why)
    end
end
