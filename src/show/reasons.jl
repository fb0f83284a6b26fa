# Why a library or a method is not used: the table is rust/store/src/reason.rs, here is how to ask it.

"The entry of the table for a code: (name, text, advice)."
function reason_entry(code::Integer)
    plain = (Symbol("Reason", code), string("reason ", code), "")
    fields = fields_of(reason_line(code))
    return length(fields) == 3 ? (Symbol(fields[1]), fields[2], fields[3]) : plain
end

# Names that have been met, with their codes and texts.
const REASONS = IdDict()

function reason_name(code::Integer)
    name, text, advice = reason_entry(code)
    isempty(text) || (REASONS[name] = (Int(code), text, advice))
    return name
end

const REASON_CODES = (100:199, 200:299, 300:399, 400:499)

"""
    NativeCache.reason(name::Symbol) -> (text, advice)

What a reason means and what can be done about it. [`NativeCache.reasons`](@ref) lists all.

# Example

    julia> NativeCache.reason(:NamesMain)
    ("it names things of Main, which no other session has", "move the type or function into a package")
"""
function reason(name::Symbol)
    haskey(REASONS, name) || reasons()
    _, text, advice = get(REASONS, name, (0, string(name), ""))
    return (text, advice)
end

"""
    NativeCache.reasons() -> Vector

Every reason why a library or a method may not be used: named tuples of `code`, `name`, `stage`
(`:library`, `:build`, `:load` or `:session`: when it arises), `text` and `advice`.

# Example

    julia> length(NativeCache.reasons()) > 40
    true
"""
function reasons()
    list = NamedTuple{(:code, :name, :stage, :text, :advice),Tuple{Int,Symbol,Symbol,String,String}}[]
    for (stage, codes) in zip((:library, :build, :load, :session), REASON_CODES), code in codes
        name, text, advice = reason_entry(code)
        text == "reason $code" && isempty(advice) && continue       # no such code
        REASONS[name] = (code, text, advice)
        push!(list, (code = code, name = name, stage = stage, text = text, advice = advice))
    end
    return list
end
