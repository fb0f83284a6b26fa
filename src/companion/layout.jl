# The offsets of the fields of Julia's objects, from Julia's own reflection. They are sent to libnativecache when it first
# needs them, in the order of `Field` and `Kind` in rust/companion/src/layout.rs.

"The offset of a field, which may have one of several names; `typemax` if this Julia does not have it."
function offset_of(type::DataType, names::Symbol...)
    at = findfirst(in(names), fieldnames(type))
    return at === nothing ? typemax(UInt32) : UInt32(fieldoffset(type, at))
end

const OFFSETS = UInt32[
    offset_of(Method, :name), offset_of(Method, :module), offset_of(Method, :specializations),
    offset_of(Core.MethodInstance, :specTypes), offset_of(Core.MethodInstance, :cache),
    offset_of(Core.CodeInstance, :next),
    offset_of(Core.CodeInstance, :invoke), offset_of(Core.CodeInstance, :specsigflags, :isspecsig, :flags),
    offset_of(Core.CodeInstance, :precompile),
    offset_of(Core.TypeMapEntry, :next), offset_of(Core.TypeMapEntry, :func),
    offset_of(Core.TypeMapLevel, :arg1), offset_of(Core.TypeMapLevel, :targ), offset_of(Core.TypeMapLevel, :name1),
    offset_of(Core.TypeMapLevel, :tname), offset_of(Core.TypeMapLevel, :list), offset_of(Core.TypeMapLevel, :any),
    offset_of(Core.TypeName, :mt), offset_of(Core.MethodTable, :defs),
]

const LAYOUT_TYPES = Any[Method, Core.MethodInstance, Core.CodeInstance, Core.MethodTable, Core.TypeMapEntry,
                         Core.TypeMapLevel, TYPEMAP_ARRAY, Core.TypeofVararg]

"Send the layout. Throws an error if libnativecache is missing or belongs to another version."
function send_layout()
    words = UInt[global_table(), UInt(unsafe_load(cglobal(:jl_fptr_const_return_addr, Ptr{Cvoid}))),
                 UInt(unsafe_load(cglobal(:jl_fptr_interpret_call_addr, Ptr{Cvoid})))]
    types = Ptr{Cvoid}[pointer_from_objref(type) for type in LAYOUT_TYPES]
    keep_layout(OFFSETS, types, words, MEMORY) || error(last_error())
    return nothing
end
