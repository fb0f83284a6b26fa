# Reads the text of a signature and returns its type. The build process and the tests include this file.
# rust/julia/src/signature.rs writes such texts; docs/profiles.md, "The grammar of signatures", has the grammar.
#
# A signature gives a value by its parts: `Char(0x79000000)` by bits, `Point(x=1, y=2)` by fields. Reading it calls no
# constructor of a package, since that could throw or make another value.

"Parse `text`. `Meta.parse` would do the same, but Julia would have to compile a closure for it."
function parsed(text::String)
    found = ccall(:jl_parse_string, Any, (Ptr{UInt8}, Csize_t, Int32, Int32), text, sizeof(text), 0, 1)::Core.SimpleVector
    tree = found[1]
    (tree isa Expr && (tree.head === :error || tree.head === :incomplete)) && throw(Meta.ParseError(string(tree.args[1])))
    found[2] == sizeof(text) || throw(Meta.ParseError("there is more after the signature"))
    return tree
end

"Replace each expression that looks like a call of a type by a call that makes the value from its bits or fields."
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
    # With another size, it is a call that somebody wrote by hand.
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

"The type of a signature. Names are looked up in `Main`."
signature_of(text::String) = Core.eval(Main, mend(parsed(text)))
