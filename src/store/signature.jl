# From the text of a signature to the type that it says. The build process includes this file; so do the tests. What writes
# the text is rust/julia/src/signature.rs; the grammar is in docs/profiles.md, "The words of a signature".
#
# Values stand in a signature by what they consist of, `Char(0x79000000)` by bits and `Point(x=1, y=2)` by fields: no
# constructor of a package is called for what the tracer wrote, since it could refuse, or make another value.

"The expression that `text` is. `Meta.parse` compiles a closure to say the same."
function parsed(text::String)
    found = ccall(:jl_parse_string, Any, (Ptr{UInt8}, Csize_t, Int32, Int32), text, sizeof(text), 0, 1)::Core.SimpleVector
    tree = found[1]
    (tree isa Expr && (tree.head === :error || tree.head === :incomplete)) && throw(Meta.ParseError(string(tree.args[1])))
    found[2] == sizeof(text) || throw(Meta.ParseError("there is more after the signature"))
    return tree
end

"Put what makes a value from its bits or its fields in the place of what looks like a call of its type."
function mend(@nospecialize(tree))
    tree isa Expr || return tree
    arguments = tree.args
    for i in 1:length(arguments)
        arguments[i] = mend(arguments[i])
    end
    tree.head === :call || return tree
    length(arguments) == 1 && return Expr(:call, from_fields, arguments[1])
    bits = true
    fields = Any[arguments[1]]
    for i in 2:length(arguments)
        field = arguments[i]
        field isa Unsigned || (bits = false)
        field isa Expr && field.head === :kw && push!(fields, field.args[2])
    end
    bits && return Expr(:call, from_bits, arguments...)
    length(fields) == length(arguments) || return tree
    return Expr(:call, from_fields, fields...)
end

function from_bits(@nospecialize(arguments...))
    type = arguments[1]
    bytes = UInt8[]
    for i in 2:length(arguments)
        word = arguments[i]
        for k in 1:sizeof(word)
            push!(bytes, (word >> (8 * (k - 1))) % UInt8)
        end
    end
    # Of another size it is a call that somebody has written.
    type isa DataType && isprimitivetype(type) && sizeof(type) <= length(bytes) < sizeof(type) + 8 ||
        return type(arguments[2:end]...)
    return ccall(:jl_new_bits, Any, (Any, Ptr{UInt8}), type, bytes)
end

function from_fields(@nospecialize(arguments...))
    type = arguments[1]
    if length(arguments) == 1
        is_singleton = @mutation("signatures: constructors make values", type isa DataType && isdefined(type, :instance), false)
        is_singleton && return type.instance
        return type()
    end
    values = Any[]
    for i in 2:length(arguments)
        push!(values, arguments[i])
    end
    return ccall(:jl_new_structv, Any, (Any, Ptr{Any}, UInt32), type::DataType, values, length(values))
end

"The type of a signature, by the names that `Main` has."
signature_of(text::String) = Core.eval(Main, mend(parsed(text)))
