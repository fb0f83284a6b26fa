//! Code: of methods, and what was made of it.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use jl_sys::{jl_code_instance_t, jl_expr_t, jl_value_t};
use libc::c_void;

use super::{handle, Array, Method, MethodInstance, Module, Object, Symbol};
use crate::julia_1_5::{
    jl_compress_ir, jl_fptr_args, jl_fptr_const_return, jl_fptr_sparam, jl_intrinsic_name,
    jl_ir_flag_inlineable, jl_set_method_inferred, jl_uncompress_ir, write_barrier, CONST_RETURN,
    CONST_VALUE,
};

handle! {
    /// What inference and the compiler have made of a method instance, for a range of worlds.
    CodeInstance, jl_code_instance_t, jl_code_instance_type
}

/// How a code instance is called: what stands in `invoke`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invoke {
    /// `jl_fptr_args`: `specptr` takes (F, args, nargs).
    Args,
    /// `jl_fptr_sparam`: `specptr` takes (F, args, nargs, sparams).
    Sparam,
    /// `jl_fptr_const_return`: nothing runs.
    ConstReturn,
    /// This function, which takes (F, args, nargs, code instance); `specptr` may have the specialised signature.
    Function(usize),
}

impl Invoke {
    /// What Julia calls.
    pub fn address(self) -> usize {
        match self {
            Invoke::Args => jl_fptr_args as *const () as usize,
            Invoke::Sparam => jl_fptr_sparam as *const () as usize,
            Invoke::ConstReturn => jl_fptr_const_return as *const () as usize,
            Invoke::Function(address) => address,
        }
    }

    fn at(address: usize) -> Self {
        [Invoke::Args, Invoke::Sparam, Invoke::ConstReturn]
            .into_iter()
            .find(|known| known.address() == address)
            .unwrap_or(Invoke::Function(address))
    }
}

impl<'j> CodeInstance<'j> {
    /// Adds one that inference has come to, without code, valid from `world` on.
    ///
    /// # Safety
    /// In `world`, the newest, a call of `of` gives a `returns`, always `constant` if there is one; `inferred` is the
    /// code that callers may inline, in compressed form. `runs` says whether anything runs when it is called.
    pub unsafe fn add(
        of: MethodInstance<'j>,
        returns: Object<'j>,
        constant: Option<Object<'j>>,
        inferred: Option<Object<'j>>,
        runs: bool,
        world: usize,
    ) -> Self {
        let flags = match constant {
            _ if !runs => CONST_RETURN,
            None => 0,
            Some(_) => CONST_VALUE,
        };
        // SAFETY: as the caller says; `nothing` stands for what there is not.
        unsafe {
            let pointer = |object: Option<Object<'j>>| object.map_or(jl_sys::jl_nothing, Object::as_ptr);
            CodeInstance::from_ptr_unchecked(jl_set_method_inferred(
                of.as_ptr(),
                returns.as_ptr(),
                pointer(constant),
                pointer(inferred),
                flags,
                world,
                usize::MAX,
            ))
        }
    }

    /// What it is of.
    pub fn method_instance(self) -> MethodInstance<'j> {
        // SAFETY: every one has it.
        unsafe { MethodInstance::from_ptr_unchecked(self.raw().def) }
    }

    /// The next of its method instance, an older one.
    pub fn next(self) -> Option<Self> {
        // SAFETY: null or a code instance.
        unsafe { CodeInstance::from_ptr(self.raw().next) }
    }

    /// The first world in which it holds.
    pub fn min_world(self) -> usize {
        self.raw().min_world
    }

    /// The last world in which it holds.
    pub fn max_world(self) -> usize {
        self.raw().max_world
    }

    /// Does it hold in this world?
    pub fn holds_in(self, world: usize) -> bool {
        self.min_world() <= world && world <= self.max_world()
    }

    /// The type of what a call gives.
    pub fn returns(self) -> Object<'j> {
        // SAFETY: every one has it.
        unsafe { Object::at(self.raw().rettype as usize) }
    }

    /// The value that every call gives, if inference has found that out.
    pub fn constant(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().rettype_const) }
    }

    /// The inferred code as it is kept: compressed, or a `CodeInfo`, or `nothing` where only the result is; `None` before
    /// inference.
    pub fn inferred(self) -> Option<Object<'j>> {
        // SAFETY: null or an object.
        unsafe { Object::from_ptr(self.raw().inferred) }
    }

    /// How it is called; `None` if it has not been compiled.
    pub fn invoke(self) -> Option<Invoke> {
        self.raw().invoke.map(|function| Invoke::at(function as usize))
    }

    /// Its specialised code, 0 if there is none.
    pub fn specptr(self) -> usize {
        // SAFETY: all members of the union are one pointer.
        unsafe { self.raw().specptr.fptr as usize }
    }

    /// Has `specptr` the specialised signature?
    pub fn is_specialised(self) -> bool {
        self.raw().isspecsig != 0
    }

    /// The code that callers may inline, in compressed form.
    pub fn inlineable(self) -> Option<Array<'j>> {
        self.inferred().filter(|code| is_inlineable(*code))?.as_kind()
    }

    /// Puts code in place: what is called from now on. `specptr` and its kind before `invoke`, for a thread that sees
    /// `invoke` must see them too.
    ///
    /// # Safety
    /// The addresses are code of this signature that stays, and that is right in every world in which this holds.
    pub unsafe fn publish(self, invoke: Invoke, specptr: Option<usize>) {
        let this = self.as_ptr();
        // SAFETY: the fields are aligned pointers and a byte of a live code instance; Julia reads them with acquire loads
        // (gf.c, jl_compile_method_internal).
        unsafe {
            if let Some(specptr) = specptr {
                let place = AtomicPtr::from_ptr((&raw mut (*this).specptr).cast::<*mut c_void>());
                place.store(specptr as *mut c_void, Ordering::Release);
                let specialised = u8::from(matches!(invoke, Invoke::Function(_)));
                AtomicU8::from_ptr(&raw mut (*this).isspecsig).store(specialised, Ordering::Release);
            }
            let place = AtomicPtr::from_ptr((&raw mut (*this).invoke).cast::<*mut c_void>());
            place.store(invoke.address() as *mut c_void, Ordering::Release);
        }
    }

    /// Ends its validity with `world`, as Julia does (gf.c, invalidate_method_instance).
    ///
    /// # Safety
    /// No other thread changes it.
    pub unsafe fn close(self, world: usize) {
        // SAFETY: as the caller says.
        unsafe { (*self.as_ptr()).max_world = world };
    }

    /// Changes what is kept of its inferred code.
    ///
    /// # Safety
    /// In a build process; `inferred` is this code, in compressed form or not, or `nothing`.
    pub unsafe fn set_inferred(self, inferred: Object<'j>) {
        // SAFETY: as the caller says.
        unsafe {
            (*self.as_ptr()).inferred = inferred.as_ptr();
            write_barrier(self.as_ptr().cast());
        }
    }
}

/// Lowered or inferred code, a `CodeInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct CodeInfo<'j>(Object<'j>);

impl<'j> super::Kind<'j> for CodeInfo<'j> {
    fn of(object: Object<'j>) -> Option<Self> {
        // SAFETY: exists from start-up on.
        object.has_tag(unsafe { jl_sys::jl_code_info_type }).then_some(CodeInfo(object))
    }
}

impl<'j> From<CodeInfo<'j>> for Object<'j> {
    fn from(this: CodeInfo<'j>) -> Self {
        this.0
    }
}

impl<'j> CodeInfo<'j> {
    /// The code of `method` that Julia keeps as `source`: a `CodeInfo` already, or its compressed form.
    pub fn from_kept(method: Method<'j>, source: Object<'j>) -> Option<Self> {
        if let Some(code) = source.as_kind() {
            return Some(code);
        }
        is_compressed(source)
            .then(|| {
                // SAFETY: the compressed form of this method's code.
                unsafe {
                    Object::from_ptr(jl_uncompress_ir(
                        method.as_ptr(),
                        std::ptr::null_mut(),
                        source.as_ptr().cast(),
                    ))
                }
            })??
            .as_kind()
    }

    /// The lowered code of a method; `None` if it has none of its own, as a generated function.
    pub fn of_method(method: Method<'j>) -> Option<Self> {
        CodeInfo::from_kept(method, method.source()?)
    }

    /// The inferred code that a code instance keeps or kept as `inferred`: a `CodeInfo` already, or its compressed form.
    /// `None` if it is no code, or the instance is of no method.
    pub fn from_inferred(of: CodeInstance<'j>, inferred: Object<'j>) -> Option<Self> {
        let method = of.method_instance().method()?;
        if !is_compressed(inferred) {
            return inferred.as_kind();
        }
        // SAFETY: the compressed form of code of this method.
        let code = unsafe {
            Object::from_ptr(jl_uncompress_ir(method.as_ptr(), of.as_ptr(), inferred.as_ptr().cast()))
        };
        code?.as_kind()
    }

    /// Its compressed form, which refers to the method's roots by number.
    ///
    /// # Safety
    /// It is code of this method; no other thread adds roots.
    pub unsafe fn compress(self, method: Method<'j>) -> Option<Array<'j>> {
        // SAFETY: as the caller says.
        unsafe { Array::from_ptr(jl_compress_ir(method.as_ptr(), self.0.as_ptr())) }
    }

    /// Its statements. They are the first field of a `CodeInfo` (base/compiler, boot.jl).
    pub fn statements(self) -> Option<Array<'j>> {
        self.0.reference(0)?.as_kind()
    }

    /// The same as any object.
    pub fn object(self) -> Object<'j> {
        self.0
    }
}

/// Is it compressed code: a `Vector{UInt8}`?
pub fn is_compressed(source: Object<'_>) -> bool {
    // SAFETY: exists from start-up on.
    source.has_tag(unsafe { jl_sys::jl_array_uint8_type.cast() })
}

/// May code in compressed form be inlined?
pub fn is_inlineable(compressed: Object<'_>) -> bool {
    // SAFETY: the compressed form of code.
    is_compressed(compressed) && unsafe { jl_ir_flag_inlineable(compressed.as_ptr().cast()) != 0 }
}

handle! {
    /// An expression.
    Expr, jl_expr_t, jl_expr_type
}

impl<'j> Expr<'j> {
    /// What it does.
    pub fn head(self) -> Symbol<'j> {
        // SAFETY: every one has it.
        unsafe { Symbol::from_ptr_unchecked(self.raw().head) }
    }

    /// To what.
    pub fn arguments(self) -> Option<Array<'j>> {
        // SAFETY: null or an array.
        unsafe { Array::from_ptr(self.raw().args) }
    }

    /// To what, `None` for one that is not assigned.
    pub fn argument_places(self) -> impl DoubleEndedIterator<Item = Option<Object<'j>>> {
        self.arguments().into_iter().flat_map(Array::places)
    }
}

handle! {
    /// A name of a module, in code.
    GlobalRef, jl_value_t, jl_globalref_type
}

impl<'j> GlobalRef<'j> {
    /// The module.
    pub fn module(self) -> Option<Module<'j>> {
        self.object().reference(0)?.as_kind()
    }

    /// The name.
    pub fn name(self) -> Option<Symbol<'j>> {
        self.object().reference(1)?.as_kind()
    }
}

handle! {
    /// A value that stands for itself, in code.
    QuoteNode, jl_value_t, jl_quotenode_type
}

impl<'j> QuoteNode<'j> {
    /// The value.
    pub fn value(self) -> Option<Object<'j>> {
        self.object().reference(0)
    }
}

impl<'j> Object<'j> {
    /// Is it a function: an instance of `Function`?
    pub fn is_function(self) -> bool {
        // SAFETY: alive; the type exists from start-up on.
        unsafe { jl_sys::jl_isa(self.as_ptr(), jl_sys::jl_function_type.cast()) != 0 }
    }

    /// In code, the statement (from 0) whose value this stands for: what an `SSAValue` says.
    pub fn statement(self) -> Option<usize> {
        // SAFETY: an SSAValue is its number, from 1.
        unsafe {
            self.has_tag(jl_sys::jl_ssavalue_type)
                .then(|| (*self.as_ptr().cast::<isize>()).wrapping_sub(1).cast_unsigned())
        }
    }

    /// The name of an intrinsic function.
    pub fn intrinsic_name(self) -> Option<&'static str> {
        // SAFETY: an intrinsic is its number; the names are constants of libjulia.
        unsafe {
            self.is_intrinsic()
                .then(|| CStr::from_ptr(jl_intrinsic_name(*self.as_ptr().cast::<i32>())).to_str().ok())?
        }
    }
}

handle! {
    /// In code, a value of which more is known from here on.
    PiNode, jl_value_t, jl_pinode_type
}

impl<'j> PiNode<'j> {
    /// The value.
    pub fn value(self) -> Option<Object<'j>> {
        self.object().reference(0)
    }
}

handle! {
    /// In code, a value for a [`PhiCNode`].
    UpsilonNode, jl_value_t, jl_upsilonnode_type
}

impl<'j> UpsilonNode<'j> {
    /// The value; `None` where there is none on this way.
    pub fn value(self) -> Option<Object<'j>> {
        self.object().reference(0)
    }
}

handle! {
    /// In code, a value that depends on where control came from.
    PhiNode, jl_value_t, jl_phinode_type
}

impl<'j> PhiNode<'j> {
    /// The values, one for each way. The edges are the first field.
    pub fn values(self) -> Option<Array<'j>> {
        self.object().reference(1)?.as_kind()
    }
}

handle! {
    /// In code, a value that depends on where an exception was thrown.
    PhiCNode, jl_value_t, jl_phicnode_type
}

impl<'j> PhiCNode<'j> {
    /// The values, one for each way.
    pub fn values(self) -> Option<Array<'j>> {
        self.object().reference(0)?.as_kind()
    }
}
