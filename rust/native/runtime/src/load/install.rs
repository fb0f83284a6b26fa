//! Puts function pointers into code instances: the one place that changes what Julia runs.

use nativecache_mutation::mutation;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use jl_sys::{jl_code_instance_t, jl_method_instance_t};
use libc::c_void;
use nativecache_image::Reason;

use crate::load::library;
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{
    jl_fptr_args, jl_fptr_const_return, jl_fptr_sparam, jl_set_method_inferred, CONST_RETURN, CONST_VALUE,
};
use nativecache_julia::object::Value;
use nativecache_julia::types::same_type;

/// What goes into `invoke`.
#[derive(Clone, Copy, Debug)]
pub enum InvokePointer {
    /// `jl_fptr_args`: `specptr` takes (F, args, nargs).
    Args,
    /// `jl_fptr_sparam`: `specptr` takes (F, args, nargs, sparams).
    Sparam,
    /// `jl_fptr_const_return`: there is no code.
    ConstReturn,
    /// A wrapper of the library; `specptr` has the specialised signature.
    Wrapper(usize),
    /// Nothing: only what inference found is kept, for those that call it.
    Inferred,
}

/// Everything that a code instance needs, as objects of this session.
#[derive(Clone, Copy, Debug)]
pub struct Compiled {
    /// Its method instance.
    pub method_instance: *mut jl_method_instance_t,
    /// The inferred return type.
    pub rettype: Value,
    /// The constant result, or null.
    pub rettype_const: Value,
    /// The inferred code that callers may inline, or null.
    pub inferred: Value,
    /// What goes into `invoke`.
    pub invoke: InvokePointer,
    /// What goes into `specptr`, or 0.
    pub spec: usize,
}

/// Installs one function for `world` and later; says whether it was put in place. It is not if another library was first.
///
/// # Safety
/// All objects are live and rooted, the pointers are code whose slots are filled and whose edges hold
/// in `world`, and `world` is the newest one. Called on a Julia thread.
pub unsafe fn install(function: &Compiled, world: usize) -> Result<bool, (Reason, String)> {
    // SAFETY: as the caller says; the fields that other threads read are stored atomically.
    unsafe {
        let mut target: *mut jl_code_instance_t = std::ptr::null_mut();
        for ci in inspect::code_instances(function.method_instance) {
            if (*ci).min_world > world || (*ci).max_world < world {
                continue;
            }
            // Inference in this session has found a result itself: that one stays.
            if matches!(function.invoke, InvokePointer::Inferred) {
                return Ok(false);
            }
            if let Some(invoke) = (*ci).invoke {
                if invoke as usize == jl_fptr_const_return as *const () as usize
                    && matches!(function.invoke, InvokePointer::ConstReturn)
                {
                    return Ok(false);
                }
                // Another library of this session was first: it is the same method instance.
                if library::owned(invoke as usize) || library::owned((*ci).specptr.fptr as usize) {
                    return Ok(false);
                }
                if mutation!("installed: over what the session has compiled", true, false) {
                    return Err((Reason::AlreadyCompiled, String::new()));
                }
                target = ci;
            }
            if target.is_null() && !(*ci).inferred.is_null() {
                target = ci;
            }
        }
        if target.is_null() {
            let flags = match function.invoke {
                InvokePointer::ConstReturn => CONST_RETURN,
                _ if function.rettype_const.is_null() => 0,
                _ => CONST_VALUE,
            };
            let constant =
                if function.rettype_const.is_null() { jl_sys::jl_nothing } else { function.rettype_const };
            // A code instance without pointers is what inference leaves behind; the pointers follow.
            target = jl_set_method_inferred(
                function.method_instance,
                function.rettype,
                constant,
                if function.inferred.is_null() { jl_sys::jl_nothing } else { function.inferred },
                flags,
                mutation!("worlds: code is there for older worlds", world, 1),
                usize::MAX,
            );
        } else if !same_type((*target).rettype, function.rettype) || !same_constant(target, function) {
            return Err((Reason::ReturnTypeDiffers, String::new()));
        }
        set_pointers(target, function);
        Ok(true)
    }
}

/// Where nothing runs and Julia gives back the constant that it has inferred: is it that of the library?
unsafe fn same_constant(ci: *mut jl_code_instance_t, function: &Compiled) -> bool {
    if !matches!(function.invoke, InvokePointer::ConstReturn) {
        return true;
    }
    let constant = function.rettype_const;
    // SAFETY: as `install`; both are objects once they are not null.
    unsafe {
        let known = (*ci).rettype_const;
        !known.is_null()
            && !constant.is_null()
            && (known == constant || jl_sys::jl_egal(known, constant) != 0)
    }
}

/// Ends the validity of what was installed in `world` with that world.
///
/// # Safety
/// On a Julia thread; `mi` is live.
pub unsafe fn close(mi: *mut jl_method_instance_t, world: usize) {
    // SAFETY: as the caller says. Julia narrows `max_world` in the same way (gf.c, invalidate_method_instance).
    unsafe {
        for ci in inspect::code_instances(mi) {
            let ours = (*ci).min_world == world
                || (*ci).invoke.is_some_and(|f| library::owned(f as usize))
                || library::owned((*ci).specptr.fptr as usize);
            if ours && (*ci).max_world == usize::MAX {
                (*ci).max_world = world;
            }
        }
    }
}

/// `specptr` and `isspecsig` before `invoke`: a thread that sees `invoke` must see them too.
unsafe fn set_pointers(ci: *mut jl_code_instance_t, function: &Compiled) {
    let (invoke, isspecsig) = match function.invoke {
        InvokePointer::Inferred => return,
        InvokePointer::Args => (jl_fptr_args as *const () as usize, 0),
        InvokePointer::Sparam => (jl_fptr_sparam as *const () as usize, 0),
        InvokePointer::ConstReturn => (jl_fptr_const_return as *const () as usize, 0),
        InvokePointer::Wrapper(wrapper) => (wrapper, 1),
    };
    // SAFETY: the fields are aligned pointers and a byte of a live code instance; Julia reads them with
    // acquire loads (gf.c, jl_compile_method_internal).
    unsafe {
        if function.spec != 0 {
            let specptr = AtomicPtr::from_ptr((&raw mut (*ci).specptr).cast::<*mut c_void>());
            specptr.store(function.spec as *mut c_void, Ordering::Release);
            AtomicU8::from_ptr(&raw mut (*ci).isspecsig).store(isspecsig, Ordering::Release);
        }
        let slot = AtomicPtr::from_ptr((&raw mut (*ci).invoke).cast::<*mut c_void>());
        slot.store(invoke as *mut c_void, Ordering::Release);
    }
}
