//! Well-known objects of the Julia runtime, by number.
//!
//! Each is the value of a pointer variable that libjulia exports, so a description of it needs no names and no
//! look-up in a module. Numbers are part of the format: append, never renumber.

macro_rules! builtins {
    ($($(#[$doc:meta])* $number:literal $name:ident $symbol:literal;)*) => {
        /// An object that libjulia exports under a name of its own.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum Builtin {
            $(#[doc = concat!("The value of `", $symbol, "`.")] $name = $number,)*
        }

        impl Builtin {
            /// All of them; the position of each is its number.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$name,)*];

            /// The number that stands in the image.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The one with this number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Builtin> {
                usize::try_from(number).ok().and_then(|index| Self::ALL.get(index)).copied()
            }

            /// Name of the C variable in libjulia that holds the pointer to the object.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self {
                    $(Builtin::$name => $symbol,)*
                }
            }
        }
    };
}

builtins! {
    0 Nothing "jl_nothing";
    1 True "jl_true";
    2 False "jl_false";
    3 EmptySvec "jl_emptysvec";
    4 EmptyTuple "jl_emptytuple";
    5 Any "jl_any_type";
    6 Bottom "jl_bottom_type";
    7 EmptyTupleType "jl_emptytuple_type";
    8 AnEmptyString "jl_an_empty_string";
    9 AnEmptyVecAny "jl_an_empty_vec_any";
    10 StackOverflowException "jl_stackovf_exception";
    11 MemoryException "jl_memory_exception";
    12 ReadOnlyMemoryException "jl_readonlymemory_exception";
    13 DivErrorException "jl_diverror_exception";
    14 UndefRefException "jl_undefref_exception";
    15 InterruptException "jl_interrupt_exception";
    16 NothingType "jl_nothing_type";
    17 DataType "jl_datatype_type";
    18 UnionType "jl_uniontype_type";
    19 UnionAllType "jl_unionall_type";
    20 TypeVarType "jl_tvar_type";
    21 TypeofBottom "jl_typeofbottom_type";
    22 TypeType "jl_type_type";
    23 TypeNameType "jl_typename_type";
    24 SymbolType "jl_symbol_type";
    25 SimpleVectorType "jl_simplevector_type";
    26 ModuleType "jl_module_type";
    27 MethodType "jl_method_type";
    28 MethodInstanceType "jl_method_instance_type";
    29 CodeInstanceType "jl_code_instance_type";
    30 CodeInfoType "jl_code_info_type";
    31 MethodTableType "jl_methtable_type";
    32 FunctionType "jl_function_type";
    33 BuiltinType "jl_builtin_type";
    34 StringType "jl_string_type";
    35 BoolType "jl_bool_type";
    36 CharType "jl_char_type";
    37 Int8Type "jl_int8_type";
    38 Int16Type "jl_int16_type";
    39 Int32Type "jl_int32_type";
    40 Int64Type "jl_int64_type";
    41 UInt8Type "jl_uint8_type";
    42 UInt16Type "jl_uint16_type";
    43 UInt32Type "jl_uint32_type";
    44 UInt64Type "jl_uint64_type";
    45 Float16Type "jl_float16_type";
    46 Float32Type "jl_float32_type";
    47 Float64Type "jl_float64_type";
    48 NumberType "jl_number_type";
    49 VoidPointerType "jl_voidpointer_type";
    50 ArrayType "jl_array_type";
    51 ArrayAnyType "jl_array_any_type";
    52 ArraySymbolType "jl_array_symbol_type";
    53 ArrayInt32Type "jl_array_int32_type";
    54 ArrayUInt8Type "jl_array_uint8_type";
    55 AbstractArrayType "jl_abstractarray_type";
    56 DenseArrayType "jl_densearray_type";
    57 AbstractStringType "jl_abstractstring_type";
    58 RefType "jl_ref_type";
    59 PointerType "jl_pointer_type";
    60 NamedTupleType "jl_namedtuple_type";
    61 VarargType "jl_vararg_type";
    62 AnyTupleType "jl_anytuple_type";
    63 ExprType "jl_expr_type";
    64 GlobalRefType "jl_globalref_type";
    65 SsaValueType "jl_ssavalue_type";
    66 SlotNumberType "jl_slotnumber_type";
    67 TypedSlotType "jl_typedslot_type";
    68 QuoteNodeType "jl_quotenode_type";
    69 GotoNodeType "jl_gotonode_type";
    70 PiNodeType "jl_pinode_type";
    71 PhiNodeType "jl_phinode_type";
    72 PhiCNodeType "jl_phicnode_type";
    73 UpsilonNodeType "jl_upsilonnode_type";
    74 NewVarNodeType "jl_newvarnode_type";
    75 LineNumberNodeType "jl_linenumbernode_type";
    76 LineInfoNodeType "jl_lineinfonode_type";
    77 TaskType "jl_task_type";
    78 WeakRefType "jl_weakref_type";
    79 ArgumentErrorType "jl_argumenterror_type";
    80 BoundsErrorType "jl_boundserror_type";
    81 ErrorExceptionType "jl_errorexception_type";
    82 MethodErrorType "jl_methoderror_type";
    83 TypeErrorType "jl_typeerror_type";
    84 UndefVarErrorType "jl_undefvarerror_type";
    85 CoreModule "jl_core_module";
    86 BaseModule "jl_base_module";
    87 MainModule "jl_main_module";
    88 TopModule "jl_top_module";
    89 TupleTypeName "jl_tuple_typename";
    90 TypeTypeName "jl_type_typename";
    91 ArrayTypeName "jl_array_typename";
    92 PointerTypeName "jl_pointer_typename";
    93 NamedTupleTypeName "jl_namedtuple_typename";
    94 VarargTypeName "jl_vararg_typename";
    95 VecElementTypeName "jl_vecelement_typename";
    96 LlvmPointerTypeName "jl_llvmpointer_typename";
    97 LlvmPointerType "jl_llvmpointer_type";
    98 SignedType "jl_signed_type";
    99 FloatingPointType "jl_floatingpoint_type";
    100 IntrinsicType "jl_intrinsic_type";
}
