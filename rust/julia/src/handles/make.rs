//! New objects. What Julia's functions would throw about is checked first, and `None` says that it cannot be made: no
//! exception may pass through frames of Rust.

use jl_sys::jl_value_t;

use super::{Array, DataType, Module, Object, Symbol, TypeVar};
use crate::julia_1_5::{jl_apply_tuple_type_v, jl_new_bits};
use crate::stopped::Stopped;

/// Calls a function of Julia; `None` if it throws.
///
/// # Safety
/// The function may run whatever it runs: no lock is held that it could need, and nothing that is being looked at is changed
/// by it.
pub unsafe fn call<'j>(
    _julia: &'j Stopped,
    function: Object<'j>,
    arguments: &[Object<'j>],
) -> Option<Object<'j>> {
    let mut pointers: Vec<*mut jl_value_t> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    let count = i32::try_from(pointers.len()).ok()?;
    // SAFETY: as the caller says; jl_call catches what the function throws, and then gives null.
    unsafe { Object::from_ptr(jl_sys::jl_call(function.as_ptr(), pointers.as_mut_ptr(), count)) }
}

fn is_type_or_variable(object: Object<'_>) -> bool {
    object.is_type() || object.is::<TypeVar<'_>>()
}

impl<'j> TypeVar<'j> {
    /// A new variable.
    pub fn new(name: Symbol<'j>, lower: Object<'j>, upper: Object<'j>) -> Option<Self> {
        if !is_type_or_variable(lower) || !is_type_or_variable(upper) {
            return None;
        }
        // SAFETY: the bounds are what jl_new_typevar takes.
        unsafe { TypeVar::from_ptr(jl_sys::jl_new_typevar(name.as_ptr(), lower.as_ptr(), upper.as_ptr())) }
    }
}

/// `body where variable`.
pub fn union_all<'j>(variable: TypeVar<'j>, body: Object<'j>) -> Option<Object<'j>> {
    if !is_type_or_variable(body) {
        return None;
    }
    // SAFETY: the body is what jl_type_unionall takes.
    unsafe { Object::from_ptr(jl_sys::jl_type_unionall(variable.as_ptr(), body.as_ptr())) }
}

/// The union of types and variables.
pub fn union<'j>(_julia: &'j Stopped, members: &[Object<'j>]) -> Option<Object<'j>> {
    if !members.iter().copied().all(is_type_or_variable) {
        return None;
    }
    let mut members: Vec<*mut jl_value_t> = members.iter().map(|member| member.as_ptr()).collect();
    // SAFETY: the members are what jl_type_union takes.
    unsafe { Object::from_ptr(jl_sys::jl_type_union(members.as_mut_ptr(), members.len())) }
}

/// A type with these parameters; `None` if Julia will not have them.
pub fn apply<'j>(julia: &'j Stopped, ty: Object<'j>, parameters: &[Object<'j>]) -> Option<Object<'j>> {
    let apply = Module::core(julia).constant(Symbol::new(julia, "apply_type"))?;
    let arguments: Vec<Object<'j>> = std::iter::once(ty).chain(parameters.iter().copied()).collect();
    // SAFETY: a builtin, which runs nothing else.
    unsafe { call(julia, apply, &arguments) }
}

/// A tuple type.
pub fn tuple<'j>(julia: &'j Stopped, parameters: &[Object<'j>]) -> Option<Object<'j>> {
    // A `Vararg` of negative length, or before the end, is an error: those go the way on which exceptions are caught.
    let is_plain = |parameter: &Object<'j>| match parameter.as_kind::<DataType<'j>>() {
        Some(ty) => !ty.name().is_vararg(),
        None => parameter.is_type() && !parameter.type_name().is_some_and(super::TypeName::is_vararg),
    };
    if parameters.iter().all(is_plain) {
        let mut pointers: Vec<*mut jl_value_t> =
            parameters.iter().map(|parameter| parameter.as_ptr()).collect();
        // SAFETY: types, and none of them a `Vararg`.
        return unsafe { Object::from_ptr(jl_apply_tuple_type_v(pointers.as_mut_ptr(), pointers.len())) };
    }
    // SAFETY: exists from start-up on.
    let any_tuple = unsafe { Object::from_ptr(jl_sys::jl_anytuple_type.cast()) }?;
    apply(julia, any_tuple, parameters)
}

impl<'j> DataType<'j> {
    /// A value of plain bits.
    pub fn new_bits(self, bytes: &[u8]) -> Option<Object<'j>> {
        if !self.is_bits() || self.size() != bytes.len() {
            return None;
        }
        // jl_new_bits reads whole words for primitive types.
        let mut data = vec![0u64; bytes.len() / 8 + 1];
        // SAFETY: `data` has room for the bytes; the type is one of bits of this size.
        unsafe {
            data.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Object::from_ptr(jl_new_bits(self.object().as_ptr(), data.as_mut_ptr().cast()))
        }
    }

    /// Can a struct of this type have these fields? `None` stands for one that is not defined.
    pub fn takes_fields(self, fields: &[Option<Object<'j>>]) -> bool {
        if self.field_count() != Some(fields.len()) {
            return false;
        }
        let Some(types) = self.field_types() else { return false };
        types.places().zip(fields).all(|(ty, field)| match (ty, field) {
            (Some(ty), Some(field)) => field.is_a(ty),
            (Some(_), None) => true,
            (None, _) => false,
        })
    }

    /// An immutable struct, or an expression, with these fields.
    pub fn new_struct(self, fields: &[Object<'j>]) -> Option<Object<'j>> {
        // SAFETY: exists from start-up on.
        let is_expr = self.as_ptr() == unsafe { jl_sys::jl_expr_type };
        let places: Vec<Option<Object<'j>>> = fields.iter().copied().map(Some).collect();
        if (self.is_mutable() && !is_expr) || !self.takes_fields(&places) {
            return None;
        }
        let mut pointers: Vec<*mut jl_value_t> = fields.iter().map(|field| field.as_ptr()).collect();
        let count = u32::try_from(pointers.len()).ok()?;
        // SAFETY: the checks are those of jl_new_structv (datatype.c).
        unsafe { Object::from_ptr(jl_sys::jl_new_structv(self.as_ptr(), pointers.as_mut_ptr(), count)) }
    }

    /// A mutable struct with these fields.
    pub fn new_mutable(self, fields: &[Option<Object<'j>>]) -> Option<Object<'j>> {
        if self.is_abstract() || !self.takes_fields(fields) {
            return None;
        }
        // SAFETY: a type with a layout; each field takes what it gets.
        unsafe {
            let new = Object::from_ptr(jl_sys::jl_new_struct_uninit(self.as_ptr()))?;
            for (index, field) in fields.iter().enumerate() {
                if let Some(field) = field {
                    jl_sys::jl_set_nth_field(new.as_ptr(), index, field.as_ptr());
                }
            }
            Some(new)
        }
    }

    /// A new vector of this type; `None` if it is no type of vectors.
    pub fn new_vector(self, length: usize) -> Option<Array<'j>> {
        let is_vector = self.parameters().get(1).and_then(Object::as_i64) == Some(1);
        // SAFETY: exists from start-up on.
        let is_array = self.name().as_ptr() == unsafe { jl_sys::jl_array_typename };
        if !is_array || !is_vector {
            return None;
        }
        // SAFETY: an instantiation of Array with one dimension.
        unsafe { Array::from_ptr(jl_sys::jl_alloc_array_1d(self.object().as_ptr(), length)) }
    }
}

impl<'j> Array<'j> {
    /// Writes the items of a fresh vector of references; `None` stands for one that is not assigned.
    ///
    /// # Safety
    /// It was made in this stretch of work, and nobody else has it: no barrier is needed.
    pub unsafe fn fill(self, items: impl Iterator<Item = Option<Object<'j>>>) {
        if !self.holds_references() {
            return;
        }
        for (index, item) in items.take(self.len()).enumerate() {
            // SAFETY: within the array, whose items are references.
            unsafe {
                let place = (*self.as_ptr()).data.cast::<*mut jl_value_t>().add(index);
                place.write(item.map_or(std::ptr::null_mut(), Object::as_ptr));
            }
        }
    }
}

/// An expression.
pub fn expr<'j>(julia: &'j Stopped, head: Symbol<'j>, arguments: &[Object<'j>]) -> Option<Object<'j>> {
    let list = Array::of_any(julia, arguments.iter().copied().map(Some));
    // SAFETY: exists from start-up on.
    let ty = unsafe { DataType::from_ptr(jl_sys::jl_expr_type) }?;
    ty.new_struct(&[head.into(), list.into()])
}

/// A number as an object, a `UInt64`.
pub fn box_u64(_julia: &Stopped, number: u64) -> Object<'_> {
    // SAFETY: allocates and nothing else.
    unsafe { Object::at(jl_sys::jl_box_uint64(number) as usize) }
}

/// The type `Any`.
pub fn any(_julia: &Stopped) -> Object<'_> {
    // SAFETY: exists from start-up on.
    unsafe { Object::at(jl_sys::jl_any_type as usize) }
}

/// `nothing`.
pub fn nothing(_julia: &Stopped) -> Object<'_> {
    // SAFETY: exists from start-up on.
    unsafe { Object::at(jl_sys::jl_nothing as usize) }
}

/// The object that a global variable of libjulia refers to (`jl_any_type`, say).
///
/// # Safety
/// `variable` is null or such a variable.
pub unsafe fn builtin<'j>(_julia: &'j Stopped, variable: *const *mut jl_value_t) -> Option<Object<'j>> {
    // SAFETY: as the caller says.
    if variable.is_null() {
        None
    } else {
        unsafe { Object::from_ptr(*variable) }
    }
}
