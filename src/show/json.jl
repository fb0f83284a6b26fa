# JSON of what status, explain, settings and the others return, for programs. Julia 1.5 has no
# JSON among its standard libraries; writing it is all that is needed.

"""
    NativeCache.json(result) -> String

What a function of NativeCache returned, as JSON: a struct becomes an object of its fields, a
`Symbol` a string, `nothing`, `missing` and what is no finite number `null`.

# Example

    julia> NativeCache.json(NativeCache.settings()[1])
    "{\\"name\\":\\"mode\\",\\"value\\":\\"on\\",\\"source\\":\\"default\\",...}"
"""
json(value) = sprint(write_json, value)

write_json(io::IO, value::Union{Nothing,Missing}) = print(io, "null")
write_json(io::IO, value::Union{Bool,Integer}) = print(io, value)
write_json(io::IO, value::Real) = isfinite(value) ? print(io, Float64(value)) : print(io, "null")
write_json(io::IO, value::Union{Symbol,Module,Method}) = write_json(io, string(value))

function write_json(io::IO, text::AbstractString)
    print(io, '"')
    for c in (isvalid(text) ? text : filter(isvalid, text))
        if c in ('"', '\\')
            print(io, '\\', c)
        elseif c < ' ' || c in ('\u2028', '\u2029', '<')   # '<': the text may stand in a page
            print(io, "\\u", string(UInt32(c); base = 16, pad = 4))
        else
            print(io, c)
        end
    end
    print(io, '"')
end

write_json(io::IO, list::Union{AbstractVector,Tuple,AbstractSet}) = write_items(io, '[', ']', list) do item
    write_json(io, item)
end

function write_json(io::IO, table::Union{AbstractDict,NamedTuple})
    write_items(io, '{', '}', pairs(table)) do (key, value)
        write_json(io, string(key))
        print(io, ':')
        write_json(io, value)
    end
end

write_json(io::IO, value) = write_json(io, json_fields(value))

write_json(io::IO, list::StatusList) = write_json(io, (message = list.message, packages = list.items))

"What of a struct stands in its JSON."
json_fields(value) = (; (name => getfield(value, name) for name in fieldnames(typeof(value)))...)

function write_items(body, io, open, close, items)
    print(io, open)
    first = true
    for item in items
        first || print(io, ',')
        first = false
        body(item)
    end
    print(io, close)
end
