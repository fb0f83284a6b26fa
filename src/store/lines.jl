# How a text becomes a field of a line, in every file and answer that has lines of fields between tabs. The rule is
# rust/store/src/fields.rs, and a test holds the two together. Plain code, byte by byte: the build process includes this
# file too, and a text may hold any bytes.

"The same without what would end a field or a line."
function escape_field(text::AbstractString)
    out = UInt8[]
    for byte in codeunits(text)
        letter = byte == UInt8('\\') ? UInt8('\\') : byte == UInt8('\t') ? UInt8('t') : byte == UInt8('\n') ? UInt8('n') :
            byte == UInt8('\r') ? UInt8('r') : byte == 0x00 ? UInt8('0') : 0x00
        letter == 0x00 ? push!(out, byte) : (push!(out, UInt8('\\')); push!(out, letter))
    end
    return String(out)
end

"What `escape_field` was given. A backslash before anything else stands for itself."
function unescape_field(text::AbstractString)
    bytes = codeunits(text)
    out = UInt8[]
    at = 1
    while at <= length(bytes)
        byte = bytes[at]
        next = byte == UInt8('\\') && at < length(bytes) ? bytes[at+1] : 0x00
        meant = next == UInt8('\\') ? UInt8('\\') : next == UInt8('t') ? UInt8('\t') : next == UInt8('n') ? UInt8('\n') :
            next == UInt8('r') ? UInt8('\r') : next == UInt8('0') ? 0x00 : 0xff
        if meant == 0xff
            push!(out, byte)
            at += 1
        else
            push!(out, meant)
            at += 2
        end
    end
    return String(out)
end

"The fields of a line."
function fields_of(line::AbstractString)
    found = String[]
    bytes = codeunits(line)
    first = 1
    for at in 1:length(bytes)+1
        if at > length(bytes) || bytes[at] == UInt8('\t')
            push!(found, unescape_field(String(bytes[first:at-1])))
            first = at + 1
        end
    end
    return found
end
