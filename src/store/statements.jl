# Which methods to compile: a sorted set of statements, each the text of a signature,
# `Tuple{typeof(Package.f), Int64}`, as `--trace-compile` writes them.

"""
    MethodItem(statement, reason, detail)

One requested method: `statement` is its signature as text. If it was not compiled or is
not installed, `reason` says why (a `Symbol`, see [`NativeCache.reason`](@ref)) and
`detail` gives the particulars; else `reason === nothing`.

# Example

    julia> first(NativeCache.status("MyPackage").rejected).reason
    :PackageBuild
"""
struct MethodItem
    statement::String
    reason::Union{Nothing,Symbol}
    detail::String
end

MethodItem(statement::AbstractString) = MethodItem(statement, nothing, "")

Base.:(==)(a::MethodItem, b::MethodItem) =
    a.statement == b.statement && a.reason === b.reason && a.detail == b.detail
Base.hash(item::MethodItem, seed::UInt) =
    hash(item.statement, hash(item.reason, hash(item.detail, seed)))

"""
The statements of a file or of an iterable, each once, sorted: the same methods give the
same library, in whatever order they came.
"""
function read_statements(file::AbstractString)
    isfile(file) || throw(ArgumentError(string(
        "statements: there is no file ", repr(String(file)),
        "; write one with `julia --trace-compile=FILE script.jl`")))
    texts = String[]
    for (number, line) in enumerate(eachline(file))
        # Editors of another system put a byte order mark first.
        marked = number == 1 && @mutation("statements: a byte order mark is text", startswith(line, '\ufeff'), false)
        marked && (line = chop(line; head = 1, tail = 0))
        text = strip(line)
        (isempty(text) || startswith(text, '#')) && continue
        push!(texts, statement_text(text))
    end
    return sort!(unique!(texts))
end

function read_statements(signatures)
    applicable(iterate, signatures) || throw(ArgumentError(string(
        "statements: expected a file name or a collection of signatures, got ",
        repr(signatures), " of type ", typeof(signatures))))
    texts = String[]
    for signature in signatures
        push!(texts, statement_text(signature))
    end
    return sort!(unique!(texts))
end

# A Type is not iterable but a common slip, and so is a single (f, types).
read_statements(signature::Type) = read_statements((signature,))
function read_statements(pair::Tuple{Any,Any})
    single = is_signature(pair)
    return invoke(read_statements, Tuple{Any}, single ? (pair,) : pair)
end

"A signature as one line of text."
function statement_text(line::AbstractString)
    text = replace(strip(line), r"\s*\n\s*" => " ")
    # Profiles say behind it how often it was seen.
    call = match(r"^(?:Base\.)?precompile\((.*)\)\s*;?(?:\s+#\s[^)]*)?$", text)
    return call === nothing ? String(text) : String(strip(call[1]))
end

function statement_text(signature::Type)
    (signature <: Tuple && Base.unwrap_unionall(signature) isa DataType) ||
        bad_signature(signature)
    # Not by `show`, to which packages add methods of their own: what is written must be read back.
    text = signature_text(signature)
    isempty(text) && throw(ArgumentError(string("statements: this signature has no text: ", last_error())))
    return text
end

function statement_text(pair::Tuple{Any,Any})
    is_signature(pair) || bad_signature(pair)
    f, types = pair
    return statement_text(Tuple{Core.Typeof(f),(types isa Type ? types.parameters : types)...})
end

"`(f, (Int,))` or `(f, Tuple{Int})`."
is_signature((_, types)::Tuple{Any,Any}) =
    types isa Tuple{Vararg{Type}} || (types isa DataType && types <: Tuple)

statement_text(method::Core.MethodInstance) = statement_text(method.specTypes)

statement_text(other) = bad_signature(other)

@noinline bad_signature(@nospecialize(given)) = throw(ArgumentError(string(
    "statements: ", repr(given), " is not a signature; give `Tuple{typeof(f), Int}`, ",
    "`(f, (Int,))` or the text of a `precompile(...)` line")))

"Does the text name something of `Main`, which no other session has?"
names_main(text::AbstractString) = occursin(r"(?<![\w.!])Main\.|\bgetfield\(Main,", text)
