//! Types and what they consist of.

use jl_sys::{jl_datatype_t, jl_tvar_t, jl_typename_t, jl_unionall_t, jl_uniontype_t};

use super::{handle, MethodTable, Module, Object, SVec, Symbol};
use crate::julia_1_5::{jl_has_empty_intersection, jl_has_free_typevars, jl_types_equal};
use crate::layout;

handle! {
    /// A data type: a type name with parameters.
    DataType, jl_datatype_t, jl_datatype_type
}

/// A type of which there are literals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Primitive {
    /// `Bool`.
    Bool,
    /// `Int64`.
    Int64,
    /// `UInt8` to `UInt64`.
    Unsigned,
    /// `Float32`.
    Float32,
    /// `Float64`.
    Float64,
}

/// A field of a struct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Where it lies in an instance.
    pub offset: usize,
    /// How many bytes it has.
    pub size: usize,
    /// Does it hold a reference to another object, or lie inline?
    pub is_reference: bool,
}

impl<'j> DataType<'j> {
    /// What all types of this name share.
    pub fn name(self) -> TypeName<'j> {
        // SAFETY: every data type has a name.
        unsafe { TypeName::from_ptr_unchecked(self.raw().name) }
    }

    /// Its parameters.
    pub fn parameters(self) -> SVec<'j> {
        // SAFETY: every data type that can be reached has them.
        unsafe { SVec::from_ptr_unchecked(self.raw().parameters) }
    }

    /// What it is declared a subtype of; `None` while it is being made.
    pub fn supertype(self) -> Option<DataType<'j>> {
        // SAFETY: null or a data type.
        unsafe { DataType::from_ptr(self.raw().super_) }
    }

    /// The declared types of its fields, computed if nobody has asked yet; `None` for one without a layout.
    pub fn field_types(self) -> Option<SVec<'j>> {
        // SAFETY: they can be computed for a type that has a layout.
        unsafe {
            let types = self.raw().types;
            if types.is_null() && self.has_layout() {
                return SVec::from_ptr(jl_sys::jl_compute_fieldtypes(self.as_ptr(), std::ptr::null_mut()));
            }
            SVec::from_ptr(types)
        }
    }

    /// The declared types of its fields, if they have been computed.
    pub fn known_field_types(self) -> Option<SVec<'j>> {
        // SAFETY: null or a vector.
        unsafe { SVec::from_ptr(self.raw().types) }
    }

    /// The only instance, of a singleton type.
    pub fn instance(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().instance) }
    }

    /// How many bytes an instance has.
    pub fn size(self) -> usize {
        usize::try_from(self.raw().size).unwrap_or(0)
    }

    /// Are instances plain bits, without references?
    pub fn is_bits(self) -> bool {
        self.raw().isbitstype != 0
    }

    /// Can instances be changed?
    pub fn is_mutable(self) -> bool {
        self.raw().mutabl != 0
    }

    /// Is it abstract?
    pub fn is_abstract(self) -> bool {
        self.raw().abstract_ != 0
    }

    /// Is it a tuple of types of which each has instances of its own?
    pub fn is_dispatch_tuple(self) -> bool {
        self.raw().isdispatchtuple != 0
    }

    /// Is it known how instances are laid out?
    pub fn has_layout(self) -> bool {
        !self.raw().layout.is_null()
    }

    /// How many fields instances have; `None` for one without a layout.
    pub fn field_count(self) -> Option<usize> {
        // SAFETY: not null.
        self.has_layout().then(|| unsafe { (*self.raw().layout).nfields as usize })
    }

    /// Does an instance hold references to other objects?
    pub fn has_references(self) -> bool {
        // SAFETY: not null.
        self.has_layout() && unsafe { (*self.raw().layout).npointers } > 0
    }

    /// Field `index`; `None` if there is none, or no layout.
    pub fn field(self, index: u32) -> Option<Field> {
        // SAFETY: a live data type.
        unsafe {
            let (offset, is_reference) = layout::field(self.as_ptr(), index)?;
            Some(Field { offset, size: layout::field_size(self.as_ptr(), index)?, is_reference })
        }
    }

    /// Are there bytes between fields that nobody writes?
    pub fn has_padding(self) -> bool {
        // SAFETY: a live data type with a layout.
        self.has_layout() && unsafe { layout::has_padding(self.as_ptr()) }
    }

    /// Does a type of plain bits hold a `Ptr` somewhere?
    pub fn holds_address(self) -> bool {
        // SAFETY: exists from start-up on.
        if self.name().as_ptr() == unsafe { jl_sys::jl_pointer_typename } {
            return true;
        }
        // SAFETY: null or a vector; not computed where it has not been.
        let types = unsafe { SVec::from_ptr(self.raw().types) };
        let mut fields = types.into_iter().flat_map(SVec::items);
        fields.any(|ty| ty.as_kind::<DataType<'j>>().is_some_and(|ty| ty.is_bits() && ty.holds_address()))
    }

    /// A number that equal types share; 0 for those that have none.
    pub fn hash(self) -> u32 {
        self.raw().hash
    }

    /// Is it a `Ptr`?
    pub fn is_pointer(self) -> bool {
        // SAFETY: exists from start-up on.
        self.name().as_ptr() == unsafe { jl_sys::jl_pointer_typename }
    }

    /// Is it `Nothing`?
    pub fn is_nothing(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_nothing_type }
    }

    /// Which type with literals of its own it is.
    pub fn primitive(self) -> Option<Primitive> {
        let this = self.as_ptr();
        // SAFETY: these exist from start-up on.
        unsafe {
            if this == jl_sys::jl_bool_type {
                Some(Primitive::Bool)
            } else if this == jl_sys::jl_int64_type {
                Some(Primitive::Int64)
            } else if this == jl_sys::jl_float64_type {
                Some(Primitive::Float64)
            } else if this == jl_sys::jl_float32_type {
                Some(Primitive::Float32)
            } else {
                let unsigned = [
                    jl_sys::jl_uint8_type,
                    jl_sys::jl_uint16_type,
                    jl_sys::jl_uint32_type,
                    jl_sys::jl_uint64_type,
                ];
                unsigned.contains(&this).then_some(Primitive::Unsigned)
            }
        }
    }

    /// The names of the fields of instances; of a named tuple those in its first parameter.
    pub fn field_names(self) -> Vec<Symbol<'j>> {
        // SAFETY: exists from start-up on.
        if self.name().as_ptr() != unsafe { jl_sys::jl_namedtuple_typename } {
            return self
                .name()
                .field_names()
                .into_iter()
                .flat_map(SVec::items)
                .filter_map(Object::as_kind)
                .collect();
        }
        let names = self.parameters().get(0).filter(|names| !names.is_type() && names.type_of().is_tuple());
        let count = names.and_then(|names| names.type_of().field_count()).unwrap_or(0);
        let count = u32::try_from(count).unwrap_or(0);
        (0..count).filter_map(|index| names?.reference(index)?.as_kind()).collect()
    }

    /// Is it a tuple type?
    pub fn is_tuple(self) -> bool {
        self.name().is_tuple()
    }

    /// Is it `Int64` or `UInt64`?
    pub fn is_integer_word(self) -> bool {
        // SAFETY: exist from start-up on.
        unsafe { [jl_sys::jl_int64_type, jl_sys::jl_uint64_type].contains(&self.as_ptr()) }
    }

    /// Is it the type of a builtin function, which has no methods?
    pub fn is_of_builtin(self) -> bool {
        // SAFETY: exists from start-up on.
        self.raw().super_ == unsafe { jl_sys::jl_builtin_type }
    }
}

handle! {
    /// What all types of one name share.
    TypeName, jl_typename_t, jl_typename_type
}

impl<'j> TypeName<'j> {
    /// Its name.
    pub fn symbol(self) -> Symbol<'j> {
        // SAFETY: every one has it.
        unsafe { Symbol::from_ptr_unchecked(self.raw().name) }
    }

    /// Its name, as text.
    pub fn as_str(self) -> &'j str {
        self.symbol().as_str()
    }

    /// The module that it was defined in.
    pub fn module(self) -> Module<'j> {
        // SAFETY: every one has it.
        unsafe { Module::from_ptr_unchecked(self.raw().module) }
    }

    /// The type without parameters: a data type, or one with `where`.
    pub fn wrapper(self) -> Object<'j> {
        // SAFETY: every one has it.
        unsafe { Object::at(self.raw().wrapper as usize) }
    }

    /// The names of the fields.
    pub fn field_names(self) -> Option<SVec<'j>> {
        // SAFETY: null or a vector.
        unsafe { SVec::from_ptr(self.raw().names) }
    }

    /// The methods of instances as functions.
    pub fn method_table(self) -> Option<MethodTable<'j>> {
        // SAFETY: null, `nothing` or a method table.
        unsafe { Object::from_ptr(self.raw().mt.cast()) }?.as_kind()
    }

    /// Every type of this name that has been made.
    pub fn instantiations(self) -> impl Iterator<Item = DataType<'j>> {
        // SAFETY: null, or vectors of data types with holes (jltypes.c).
        let caches = unsafe { [SVec::from_ptr(self.raw().cache), SVec::from_ptr(self.raw().linearcache)] };
        caches.into_iter().flatten().flat_map(SVec::items).filter_map(Object::as_kind)
    }

    /// Is it that of tuples?
    pub fn is_tuple(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_tuple_typename }
    }

    /// Is it that of `Vararg`, which in Julia 1.5 is a type like others?
    pub fn is_vararg(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_vararg_typename }
    }

    /// Is it that of `Type`?
    pub fn is_type_of_types(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_type_typename }
    }

    /// Does subtyping treat its types in a way of their own: tuples, `Vararg`, `Type` and the types of types?
    pub fn is_special(self) -> bool {
        // SAFETY: the types exist from start-up on.
        unsafe {
            [
                jl_sys::jl_type_typename,
                jl_sys::jl_tuple_typename,
                jl_sys::jl_vararg_typename,
                (*jl_sys::jl_datatype_type).name,
                (*jl_sys::jl_unionall_type).name,
                (*jl_sys::jl_uniontype_type).name,
                (*jl_sys::jl_typeofbottom_type).name,
            ]
            .contains(&self.as_ptr())
        }
    }
}

handle! {
    /// A type with a `where`.
    UnionAll, jl_unionall_t, jl_unionall_type
}

impl<'j> UnionAll<'j> {
    /// Is it `Type`?
    pub fn is_type_of_types(self) -> bool {
        // SAFETY: exists from start-up on.
        self.as_ptr() == unsafe { jl_sys::jl_type_type }
    }

    /// Its variable.
    pub fn variable(self) -> TypeVar<'j> {
        // SAFETY: every one has it.
        unsafe { TypeVar::from_ptr_unchecked(self.raw().var) }
    }

    /// What stands before the `where`.
    pub fn body(self) -> Object<'j> {
        // SAFETY: every one has it.
        unsafe { Object::at(self.raw().body as usize) }
    }
}

handle! {
    /// A union of two types, of which each may be a union.
    Union, jl_uniontype_t, jl_uniontype_type
}

impl<'j> Union<'j> {
    /// The two.
    pub fn members(self) -> [Object<'j>; 2] {
        // SAFETY: every one has them.
        unsafe { [Object::at(self.raw().a as usize), Object::at(self.raw().b as usize)] }
    }
}

handle! {
    /// A variable in a type.
    TypeVar, jl_tvar_t, jl_tvar_type
}

impl<'j> TypeVar<'j> {
    /// Its name.
    pub fn name(self) -> Symbol<'j> {
        // SAFETY: every one has it.
        unsafe { Symbol::from_ptr_unchecked(self.raw().name) }
    }

    /// Its lower and its upper bound.
    pub fn bounds(self) -> [Object<'j>; 2] {
        // SAFETY: every one has them.
        unsafe { [Object::at(self.raw().lb as usize), Object::at(self.raw().ub as usize)] }
    }
}

impl<'j> Object<'j> {
    /// What its fields that are references, and defined, refer to, in their order.
    pub fn references(self) -> impl Iterator<Item = Object<'j>> {
        let count = self.type_of().field_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        (0..count).filter_map(move |index| self.reference(index))
    }

    /// A type without its `where`s.
    pub fn without_wheres(self) -> Object<'j> {
        let mut at = self;
        while let Some(all) = at.as_kind::<UnionAll<'j>>() {
            at = all.body();
        }
        at
    }

    /// The data type behind the `where`s of a type, if there is one.
    pub fn data_type(self) -> Option<DataType<'j>> {
        self.without_wheres().as_kind()
    }

    /// The name behind a type; `None` for unions, variables and `Union{}`.
    pub fn type_name(self) -> Option<TypeName<'j>> {
        self.data_type().map(DataType::name)
    }

    /// A type as text for messages, which describes and does not identify.
    pub fn type_text(self) -> String {
        if self.is::<Union<'j>>() {
            return "Union".to_owned();
        }
        let Some(ty) = self.data_type() else { return "Union{}".to_owned() };
        let base = ty.name().as_str();
        if ty.parameters().is_empty() {
            return base.to_owned();
        }
        let text = |parameter: Option<Object<'j>>| match parameter {
            Some(p) if p.is_type() => p.type_text(),
            Some(p) => match (p.as_kind::<TypeVar<'j>>(), p.as_kind::<Symbol<'j>>(), p.as_i64()) {
                (Some(variable), ..) => variable.name().as_str().to_owned(),
                (_, Some(symbol), _) => format!(":{}", symbol.as_str()),
                (.., Some(number)) => number.to_string(),
                _ => "…".to_owned(),
            },
            None => "…".to_owned(),
        };
        let texts: Vec<String> = ty.parameters().places().map(text).collect();
        format!("{base}{{{}}}", texts.join(", "))
    }

    /// Are these two types the same type?
    pub fn is_same_type(self, other: Object<'_>) -> bool {
        // SAFETY: both are alive; the function asks subtype both ways, which throws for nothing that is a type.
        self.as_ptr() == other.as_ptr()
            || (self.is_type()
                && other.is_type()
                && unsafe { jl_types_equal(self.as_ptr(), other.as_ptr()) } != 0)
    }

    /// Have these two types no instance in common? May say no where they have none.
    pub fn is_disjoint(self, other: Object<'_>) -> bool {
        // SAFETY: both are alive, and types.
        self.is_type()
            && other.is_type()
            && unsafe { jl_has_empty_intersection(self.as_ptr(), other.as_ptr()) } != 0
    }

    /// Does it mention a variable that no `where` of its own binds?
    pub fn has_free_variables(self) -> bool {
        // SAFETY: alive.
        unsafe { jl_has_free_typevars(self.as_ptr()) != 0 }
    }
}
