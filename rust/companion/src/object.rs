//! Typed handles of Julia's objects, which live as long as the collector is stopped.

use std::ffi::{c_char, CStr};
use std::marker::PhantomData;
use std::ptr::NonNull;

use jl_sys::types::{jl_array_t, jl_datatype_t, jl_module_t, jl_svec_t, jl_sym_t, jl_value_t};
use jlrs_sys as accessors;

use crate::layout::{Field, Kind, Layout};
use crate::stopped::Stopped;

/// Any object.
#[derive(Clone, Copy)]
pub(crate) struct Object<'s> {
    pointer: NonNull<jl_value_t>,
    stopped: PhantomData<&'s Stopped>,
}

impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.pointer == other.pointer
    }
}

impl<'s> Object<'s> {
    /// The object at `pointer`; `None` for null.
    ///
    /// # Safety
    /// `pointer` is null or a live object.
    pub(crate) unsafe fn new(pointer: *mut jl_value_t, _: &'s Stopped) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Object { pointer, stopped: PhantomData })
    }

    pub(crate) fn address(self) -> usize {
        self.pointer.as_ptr() as usize
    }

    pub(crate) fn as_ptr(self) -> *mut jl_value_t {
        self.pointer.as_ptr()
    }

    fn other(self, pointer: *mut jl_value_t) -> Option<Object<'s>> {
        NonNull::new(pointer).map(|pointer| Object { pointer, stopped: self.stopped })
    }

    pub(crate) fn type_of(self) -> *mut jl_value_t {
        // SAFETY: a handle is a live object.
        unsafe { accessors::jlrs_typeof(self.as_ptr()) }
    }

    /// The fields of a tuple, if all of them are references to objects; `ty` is its type.
    pub(crate) fn tuple_fields(self, ty: DataType<'s>) -> Option<Vec<Object<'s>>> {
        // SAFETY: fields below their number; one that is a pointer holds an object or null.
        unsafe {
            let count = accessors::jlrs_datatype_nfields(ty.as_ptr());
            (0..count)
                .map(|i| {
                    let index = i32::try_from(i).ok()?;
                    if accessors::jlrs_field_isptr(ty.as_ptr(), index) == 0 {
                        return None;
                    }
                    let offset = accessors::jlrs_field_offset(ty.as_ptr(), index) as usize;
                    self.other(self.as_ptr().byte_add(offset).cast::<*mut jl_value_t>().read_volatile())
                })
                .collect()
        }
    }

    /// Its type as an object.
    pub(crate) fn own_type(self) -> Option<Object<'s>> {
        self.other(self.type_of())
    }

    /// The type and the number of elements of a vararg, if they are given.
    pub(crate) fn vararg_parts(self) -> [Option<Object<'s>>; 2] {
        // SAFETY: the caller has checked the type, `Core.TypeofVararg`: two fields, each an object or null.
        unsafe {
            let fields = self.as_ptr().cast::<*mut jl_value_t>();
            [self.other(fields.read_volatile()), self.other(fields.add(1).read_volatile())]
        }
    }

    pub(crate) fn is(self, layout: &Layout, kind: Kind) -> bool {
        layout.is(self.type_of(), kind)
    }

    /// Is its type this type of libjulia?
    fn is_a(self, ty: *mut jl_datatype_t) -> bool {
        self.type_of() == ty.cast()
    }

    pub(crate) fn is_nothing(self) -> bool {
        // SAFETY: a variable of libjulia that never changes once Julia has started.
        self.is_a(unsafe { jl_sys::bindings::jl_nothing_type })
    }

    /// A field that holds an object or null.
    pub(crate) fn field(self, layout: &Layout, field: Field) -> Option<Object<'s>> {
        let offset = layout.offset(field)?;
        // SAFETY: Julia's `fieldoffset` for the type that the caller has checked; the field is a pointer. Atomic
        // fields are written with release order and hold whole pointers at any time.
        let pointer = unsafe { self.as_ptr().byte_add(offset).cast::<*mut jl_value_t>().read_volatile() };
        self.other(pointer)
    }

    /// A field of one word that is not an object.
    pub(crate) fn word(self, layout: &Layout, field: Field) -> Option<usize> {
        let offset = layout.offset(field)?;
        // SAFETY: as in `field`, for a field of one word.
        Some(unsafe { self.as_ptr().byte_add(offset).cast::<usize>().read_volatile() })
    }

    /// A field of one byte.
    pub(crate) fn byte(self, layout: &Layout, field: Field) -> Option<u8> {
        let offset = layout.offset(field)?;
        // SAFETY: as in `field`, for a field of one byte.
        Some(unsafe { self.as_ptr().byte_add(offset).cast::<u8>().read_volatile() })
    }

    pub(crate) fn as_module(self) -> Option<Module<'s>> {
        // SAFETY: as in `is_nothing`.
        self.is_a(unsafe { jl_sys::bindings::jl_module_type }).then_some(Module(self))
    }

    pub(crate) fn as_datatype(self) -> Option<DataType<'s>> {
        // SAFETY: as in `is_nothing`.
        self.is_a(unsafe { jl_sys::bindings::jl_datatype_type }).then_some(DataType(self))
    }

    pub(crate) fn as_symbol(self) -> Option<Symbol<'s>> {
        // SAFETY: as in `is_nothing`.
        self.is_a(unsafe { jl_sys::bindings::jl_symbol_type }).then_some(Symbol(self))
    }

    /// The variable and the body of a `UnionAll`.
    pub(crate) fn as_unionall(self) -> Option<(Object<'s>, Object<'s>)> {
        // SAFETY: as in `is_nothing`; the accessors get what they ask for.
        unsafe {
            if !self.is_a(jl_sys::bindings::jl_unionall_type) {
                return None;
            }
            let var = accessors::jlrs_unionall_tvar(self.as_ptr().cast());
            let body = accessors::jlrs_unionall_body(self.as_ptr().cast());
            Some((self.other(var.cast())?, self.other(body)?))
        }
    }

    /// Both halves of a `Union`.
    pub(crate) fn as_union(self) -> Option<(Object<'s>, Object<'s>)> {
        // SAFETY: as in `as_unionall`.
        unsafe {
            if !self.is_a(jl_sys::bindings::jl_uniontype_type) {
                return None;
            }
            let a = accessors::jlrs_union_a(self.as_ptr().cast());
            let b = accessors::jlrs_union_b(self.as_ptr().cast());
            Some((self.other(a)?, self.other(b)?))
        }
    }

    /// Lower and upper bound of a type variable.
    pub(crate) fn as_type_variable(self) -> Option<(Object<'s>, Object<'s>)> {
        // SAFETY: as in `as_unionall`.
        unsafe {
            if !self.is_a(jl_sys::bindings::jl_tvar_type) {
                return None;
            }
            let lower = accessors::jlrs_tvar_lb(self.as_ptr().cast());
            let upper = accessors::jlrs_tvar_ub(self.as_ptr().cast());
            Some((self.other(lower)?, self.other(upper)?))
        }
    }

    pub(crate) fn is_bottom(self) -> bool {
        // SAFETY: as in `is_nothing`.
        self.as_ptr() == unsafe { jl_sys::bindings::jl_bottom_type }
    }

    pub(crate) fn is_any(self) -> bool {
        // SAFETY: as in `is_nothing`.
        self.as_ptr() == unsafe { jl_sys::bindings::jl_any_type }.cast()
    }

    /// The items of a simple vector; none for any other object.
    pub(crate) fn svec(self) -> Vec<Option<Object<'s>>> {
        // SAFETY: as in `as_unionall`; a simple vector has as many items as it says.
        unsafe {
            if !self.is_a(jl_sys::bindings::jl_simplevector_type) {
                return Vec::new();
            }
            let length = accessors::jlrs_svec_len(self.as_ptr().cast());
            (0..length).map(|i| self.other(accessors::jlrs_svecref(self.as_ptr().cast(), i))).collect()
        }
    }

    /// The items of a vector of objects.
    ///
    /// # Safety
    /// It is a `Vector` whose elements are objects.
    pub(crate) unsafe fn array(self) -> Vec<Option<Object<'s>>> {
        // SAFETY: as the caller says.
        unsafe {
            let array: *mut jl_array_t = self.as_ptr().cast();
            let length = accessors::jlrs_array_len(array);
            let data = accessors::jlrs_array_data(array).cast::<*mut jl_value_t>();
            if data.is_null() {
                return Vec::new();
            }
            (0..length).map(|i| self.other(data.add(i).read_volatile())).collect()
        }
    }

    /// The parts of a typemap's array: see [`Kind::TypeMapArray`].
    pub(crate) fn typemap_parts(self, layout: &Layout) -> Vec<Option<Object<'s>>> {
        if !self.is(layout, Kind::TypeMapArray) {
            return Vec::new();
        }
        if !layout.memory {
            // SAFETY: the type is `Vector{Any}`.
            return unsafe { self.array() };
        }
        // SAFETY: a `Memory{Any}` is its length and a pointer to that many objects.
        unsafe {
            let words = self.as_ptr().cast::<usize>();
            let length = words.read_volatile();
            let data = words.add(1).read_volatile() as *const *mut jl_value_t;
            if data.is_null() {
                return Vec::new();
            }
            (0..length).map(|i| self.other(data.add(i).read_volatile())).collect()
        }
    }
}

/// A module.
#[derive(Clone, Copy)]
pub(crate) struct Module<'s>(Object<'s>);

impl<'s> Module<'s> {
    pub(crate) fn address(self) -> usize {
        self.0.address()
    }

    pub(crate) fn as_ptr(self) -> *mut jl_module_t {
        self.0.as_ptr().cast()
    }

    pub(crate) fn name(self) -> &'s str {
        // SAFETY: a live module has a name, which lives for ever.
        unsafe { symbol_text(accessors::jlrs_module_name(self.as_ptr())) }
    }

    pub(crate) fn parent(self) -> Module<'s> {
        // SAFETY: a live module has a parent; a root module is its own.
        let parent = unsafe { accessors::jlrs_module_parent(self.as_ptr()) };
        self.0.other(parent.cast()).map_or(self, Module)
    }

    /// The module that contains all others above this one.
    pub(crate) fn root(self) -> Module<'s> {
        let mut at = self;
        loop {
            let parent = at.parent();
            if parent.address() == at.address() {
                return at;
            }
            at = parent;
        }
    }
}

/// A symbol.
#[derive(Clone, Copy)]
pub(crate) struct Symbol<'s>(Object<'s>);

impl<'s> Symbol<'s> {
    pub(crate) fn bytes(self) -> &'s [u8] {
        // SAFETY: a symbol's name ends with NUL and lives for ever.
        unsafe {
            CStr::from_ptr(accessors::jlrs_symbol_name(self.0.as_ptr().cast::<jl_sym_t>()).cast::<c_char>())
                .to_bytes()
        }
    }
}

/// # Safety
/// `symbol` is a live symbol.
unsafe fn symbol_text<'s>(symbol: *mut jl_sym_t) -> &'s str {
    // SAFETY: as the caller says; symbols are never freed.
    let bytes = unsafe { CStr::from_ptr(accessors::jlrs_symbol_name(symbol).cast::<c_char>()) };
    bytes.to_str().unwrap_or("")
}

/// A type made by `struct`, `abstract type`, `primitive type` or `function`, with its parameters.
#[derive(Clone, Copy)]
pub(crate) struct DataType<'s>(Object<'s>);

impl<'s> DataType<'s> {
    fn as_ptr(self) -> *mut jl_datatype_t {
        self.0.as_ptr().cast()
    }

    pub(crate) fn parameters(self) -> Vec<Object<'s>> {
        // SAFETY: a live type's parameters are a simple vector.
        unsafe {
            let parameters: *mut jl_svec_t = accessors::jlrs_datatype_parameters(self.as_ptr());
            self.0
                .other(parameters.cast())
                .map_or_else(Vec::new, |p| p.svec().into_iter().flatten().collect())
        }
    }

    pub(crate) fn type_name(self) -> Option<TypeName<'s>> {
        // SAFETY: a live type has a type name.
        let name = unsafe { accessors::jlrs_datatype_typename(self.as_ptr()) };
        self.0.other(name.cast()).map(TypeName)
    }

    /// Does the type have exactly one value?
    pub(crate) fn is_singleton(self) -> bool {
        // SAFETY: a live type; the field is null or an object.
        unsafe { !accessors::jlrs_datatype_instance(self.as_ptr()).is_null() }
    }

    pub(crate) fn is_primitive(self) -> bool {
        // SAFETY: a live type.
        unsafe { accessors::jlrs_is_primitivetype(self.as_ptr().cast()) != 0 }
    }

    pub(crate) fn is_bits(self) -> bool {
        // SAFETY: a live type.
        unsafe { accessors::jlrs_isbits(self.as_ptr().cast()) != 0 }
    }

    /// The size of a value in bytes.
    pub(crate) fn size(self) -> usize {
        // SAFETY: a live type with a layout, as every type has that a value is of.
        unsafe { accessors::jlrs_datatype_size(self.as_ptr()) as usize }
    }

    /// Offset and type of each field of a value, if all of them are stored inline.
    pub(crate) fn inline_fields(self) -> Option<Vec<(usize, DataType<'s>)>> {
        // SAFETY: a live type with a layout, as every type has that a value is of; fields below their number.
        unsafe {
            let count = accessors::jlrs_datatype_nfields(self.as_ptr());
            let types = accessors::jlrs_get_fieldtypes(self.as_ptr());
            let types = self.0.other(types.cast())?.svec();
            (0..count)
                .map(|i| {
                    let index = i32::try_from(i).ok()?;
                    if accessors::jlrs_field_isptr(self.as_ptr(), index) != 0 {
                        return None;
                    }
                    let ty = (*types.get(i as usize)?)?.as_datatype()?;
                    Some((accessors::jlrs_field_offset(self.as_ptr(), index) as usize, ty))
                })
                .collect()
        }
    }

    pub(crate) fn is_tuple(self) -> bool {
        // SAFETY: a variable of libjulia that never changes once Julia has started.
        let tuple = unsafe { jl_sys::bindings::jl_tuple_typename };
        self.type_name().is_some_and(|name| name.0.as_ptr() == tuple.cast())
    }
}

/// A type name, which all types from one definition share.
#[derive(Clone, Copy)]
pub(crate) struct TypeName<'s>(Object<'s>);

impl<'s> TypeName<'s> {
    pub(crate) fn object(self) -> Object<'s> {
        self.0
    }

    pub(crate) fn name(self) -> &'s [u8] {
        // SAFETY: a live type name has a symbol, which lives for ever.
        unsafe {
            let symbol = accessors::jlrs_typename_name(self.0.as_ptr().cast());
            CStr::from_ptr(accessors::jlrs_symbol_name(symbol).cast::<c_char>()).to_bytes()
        }
    }

    pub(crate) fn module(self) -> Option<Module<'s>> {
        // SAFETY: a live type name.
        let module = unsafe { accessors::jlrs_typename_module(self.0.as_ptr().cast()) };
        self.0.other(module.cast()).map(Module)
    }

    /// The type with all its parameters free.
    pub(crate) fn wrapper(self) -> Option<Object<'s>> {
        // SAFETY: a live type name.
        let wrapper = unsafe { accessors::jlrs_typename_wrapper(self.0.as_ptr().cast()) };
        self.0.other(wrapper.cast())
    }
}
