# What this session has compiled. libnativecache merges it into the profiles, at the end of the
# session (`ended` in load.jl) or when `trace!` is called.

"""
What a trace found: returned by [`NativeCache.trace!`](@ref).

- `looked`: number of code instances that were examined; `seconds`: how long the trace took, including writing
- `compiled`: number of method instances that this session compiled
- `used`: number of method instances from libraries that the session called
- `kept`: how many of these two went into profiles
- `nowhere`: how many were left out because they refer to `Main` or to a module made there, which no other
  session has
- `unnamed`: why the others were left out. They refer to something that another session cannot find by a
  name in a profile, such as a closure that no definition mentions, or an address
- `profiles`: packages => (methods in their `trace` layer, how many of them are new)
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

Merge what this session has compiled so far into the `trace` layer of its packages' profiles. At the end
of a session this happens by itself, unless the setting `trace` is `no`.

Tracing only reads Julia's own data, so it needs no flag and slows nothing down. If nothing can be written,
it throws an error that says why.

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
