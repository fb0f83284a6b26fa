//! New objects. What Julia's functions would throw about is checked first, and `None` says that it cannot be made: no
//! exception may pass through frames of Rust.

use std::ffi::CString;

use jl_sys::jl_value_t;
use smallvec::SmallVec;

use super::{Array, DataType, Module, Object, Symbol, TypeName, TypeVar};
use crate::elf::global_symbol;
use crate::julia_1_5::{jl_apply_tuple_type_v, jl_new_bits};
use crate::stopped::Stopped;

/// Few objects, as parameters and fields are: pointers for a function of Julia, which may write to them.
type Pointers = SmallVec<[*mut jl_value_t; 8]>;

fn pointers(objects: &[Object<'_>]) -> Pointers {
    objects.iter().map(|object| object.as_ptr()).collect()
}

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
    // SAFETY: as the caller says.
    unsafe { call_pointers(function, pointers(arguments)) }
}

/// # Safety
/// As [`call`], with live objects.
unsafe fn call_pointers<'j>(function: Object<'j>, mut arguments: Pointers) -> Option<Object<'j>> {
    let count = i32::try_from(arguments.len()).ok()?;
    // SAFETY: as the caller says; jl_call catches what the function throws, and then gives null.
    unsafe { Object::from_ptr(jl_sys::jl_call(function.as_ptr(), arguments.as_mut_ptr(), count)) }
}

/// Can it be a bound of a variable, or a member of a union? A `Vararg` cannot.
fn is_type_or_variable(object: Object<'_>) -> bool {
    let is_vararg = || object.type_name().is_some_and(TypeName::is_vararg);
    object.is::<TypeVar<'_>>() || (object.is_type() && !is_vararg())
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
    if !body.is_type() && !body.is::<TypeVar<'_>>() {
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
    let mut members = pointers(members);
    // SAFETY: the members are what jl_type_union takes.
    unsafe { Object::from_ptr(jl_sys::jl_type_union(members.as_mut_ptr(), members.len())) }
}

/// Gives types their parameters.
#[derive(Clone, Copy)]
pub struct Apply<'j> {
    /// `Core.apply_type`.
    function: Object<'j>,
}

impl<'j> Apply<'j> {
    /// With the builtin of Core.
    pub fn new(julia: &'j Stopped) -> Option<Self> {
        let function = Module::core(julia).constant(Symbol::new(julia, "apply_type"))?;
        Some(Apply { function })
    }

    /// A type with these parameters; `None` if Julia will not have them.
    pub fn to(self, ty: Object<'j>, parameters: &[Object<'j>]) -> Option<Object<'j>> {
        let mut arguments = Pointers::with_capacity(parameters.len() + 1);
        arguments.push(ty.as_ptr());
        arguments.extend(parameters.iter().map(|parameter| parameter.as_ptr()));
        // SAFETY: a builtin, which runs nothing else.
        unsafe { call_pointers(self.function, arguments) }
    }

    /// A tuple type; `None` if Julia will not have these parameters.
    pub fn tuple(self, parameters: &[Object<'j>]) -> Option<Object<'j>> {
        // What is no type, and a `Vararg` of negative length or before the end, is an error: those go the way on which
        // exceptions are caught.
        let is_plain = |parameter: &Object<'j>| match parameter.as_kind::<DataType<'j>>() {
            Some(ty) => !ty.name().is_vararg(),
            None => parameter.is_type() && !parameter.type_name().is_some_and(TypeName::is_vararg),
        };
        if parameters.iter().all(is_plain) {
            let mut parameters = pointers(parameters);
            // SAFETY: types, and none of them a `Vararg`.
            return unsafe {
                Object::from_ptr(jl_apply_tuple_type_v(parameters.as_mut_ptr(), parameters.len()))
            };
        }
        // SAFETY: exists from start-up on.
        let any_tuple = unsafe { Object::from_ptr(jl_sys::jl_anytuple_type.cast()) }?;
        self.to(any_tuple, parameters)
    }
}

/// Why no struct can be made of some fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongFields {
    /// The type has another number of them, or no layout.
    Count,
    /// One is not of the declared type.
    Types,
    /// The struct is not made so: a mutable one as an immutable one, or an abstract one.
    Kind,
}

impl<'j> DataType<'j> {
    /// A value of plain bits.
    pub fn new_bits(self, bytes: &[u8]) -> Option<Object<'j>> {
        if !self.is_bits() || self.size() != bytes.len() {
            return None;
        }
        // jl_new_bits reads whole words for primitive types.
        let mut data: SmallVec<[u64; 8]> = SmallVec::from_elem(0, bytes.len() / 8 + 1);
        // SAFETY: `data` has room for the bytes; the type is one of bits of this size.
        unsafe {
            data.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Object::from_ptr(jl_new_bits(self.object().as_ptr(), data.as_mut_ptr().cast()))
        }
    }

    /// Can a struct of this type have these fields? `None` stands for one that is not defined.
    fn check_fields(
        self,
        fields: impl ExactSizeIterator<Item = Option<Object<'j>>>,
    ) -> Result<(), WrongFields> {
        if self.field_count() != Some(fields.len()) {
            return Err(WrongFields::Count);
        }
        let types = self.field_types().ok_or(WrongFields::Types)?;
        let fits = |(ty, field): (Option<Object<'j>>, Option<Object<'j>>)| match (ty, field) {
            (_, None) => true,
            (Some(ty), Some(field)) => field.is_a(ty),
            (None, Some(_)) => false,
        };
        if types.places().zip(fields).all(fits) {
            Ok(())
        } else {
            Err(WrongFields::Types)
        }
    }

    /// An immutable struct, or an expression, with these fields.
    ///
    /// # Errors
    /// If there can be none.
    pub fn new_struct(self, fields: &[Object<'j>]) -> Result<Object<'j>, WrongFields> {
        self.check_fields(fields.iter().copied().map(Some))?;
        // SAFETY: exists from start-up on.
        let is_expr = self.as_ptr() == unsafe { jl_sys::jl_expr_type };
        if self.is_mutable() && !is_expr {
            return Err(WrongFields::Kind);
        }
        let mut fields = pointers(fields);
        let count = u32::try_from(fields.len()).map_err(|_| WrongFields::Count)?;
        // SAFETY: the checks are those of jl_new_structv (datatype.c).
        let new =
            unsafe { Object::from_ptr(jl_sys::jl_new_structv(self.as_ptr(), fields.as_mut_ptr(), count)) };
        new.ok_or(WrongFields::Kind)
    }

    /// A new mutable struct with these fields; `None` stands for one that is not defined.
    ///
    /// # Errors
    /// If there can be none.
    pub fn new_mutable(self, fields: &[Option<Object<'j>>]) -> Result<Object<'j>, WrongFields> {
        self.check_fields(fields.iter().copied())?;
        if self.is_abstract() {
            return Err(WrongFields::Kind);
        }
        // SAFETY: a type with a layout; each field takes what it gets.
        unsafe {
            let new =
                Object::from_ptr(jl_sys::jl_new_struct_uninit(self.as_ptr())).ok_or(WrongFields::Kind)?;
            for (index, field) in fields.iter().enumerate() {
                if let Some(field) = field {
                    jl_sys::jl_set_nth_field(new.as_ptr(), index, field.as_ptr());
                }
            }
            Ok(new)
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

/// A new `Vector{UInt8}` with these bytes, after `change` has changed some of them; `None` if that gives it up.
pub fn byte_vector<'j>(
    _julia: &'j Stopped,
    bytes: &[u8],
    change: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Option<Array<'j>> {
    // SAFETY: the type exists from start-up on; the items of a fresh vector of it are bytes, which nobody else has.
    unsafe {
        let array = jl_sys::jl_alloc_array_1d(jl_sys::jl_array_uint8_type.cast(), bytes.len());
        let data = (*array).data.cast::<u8>();
        data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        if bytes.is_empty() {
            change(&mut [])?;
        } else {
            change(std::slice::from_raw_parts_mut(data, bytes.len()))?;
        }
        Array::from_ptr(array)
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
///
/// # Errors
/// If Julia's expressions should not be of a head and arguments.
pub fn expr<'j>(
    julia: &'j Stopped,
    head: Symbol<'j>,
    arguments: &[Object<'j>],
) -> Result<Object<'j>, WrongFields> {
    let list = Array::of_any(julia, arguments.iter().copied().map(Some));
    // SAFETY: exists from start-up on.
    let ty = unsafe { DataType::from_ptr_unchecked(jl_sys::jl_expr_type) };
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

/// The object that a global variable of libjulia refers to; `None` if there is no such variable.
///
/// # Safety
/// The variable of this name, if there is one, is one that refers to an object from start-up on (`jl_any_type`, say).
pub unsafe fn builtin<'j>(_julia: &'j Stopped, variable: &str) -> Option<Object<'j>> {
    let name = CString::new(variable).ok()?;
    let variable = global_symbol(&name).cast::<*mut jl_value_t>();
    if variable.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    unsafe { Object::from_ptr(*variable) }
}
