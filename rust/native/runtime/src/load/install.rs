//! Installs function pointers in code instances. Only this file changes what Julia runs.

use nativecache_julia::handles::{CodeInstance, Invoke, MethodInstance, Object};
use nativecache_mutation::mutation;

use crate::load::library;
use crate::load::moment::Moment;

/// Everything that a code instance needs, as objects of this session.
#[derive(Clone, Copy, Debug)]
pub struct Compiled<'j> {
    /// Its method instance.
    pub method_instance: MethodInstance<'j>,
    /// The inferred return type.
    pub returns: Object<'j>,
    /// The value that every call returns, if inference has found one.
    pub constant: Option<Object<'j>>,
    /// The inferred code that callers may inline.
    pub inferred: Option<Object<'j>>,
    /// How it is called. Without it, only the result of inference is installed, for callers.
    pub invoke: Option<Invoke>,
    /// The value of `specptr`.
    pub specptr: Option<usize>,
}

/// Why a function is not installed in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInstalled {
    /// This session has compiled it itself.
    AlreadyCompiled,
    /// This session has inferred another return type or constant.
    ReturnTypeDiffers,
}

/// Installs one function for `world` and later. Returns whether it was installed; it is not if another library was first.
///
/// # Safety
/// The objects are rooted, the pointers are code whose slots are filled and whose edges hold
/// in `world`, and `world` is the newest one.
pub unsafe fn install(function: &Compiled<'_>, world: usize) -> Result<bool, NotInstalled> {
    let target = match find_place(function, world)? {
        Place::Taken => return Ok(false),
        Place::Inferred(code) => {
            if !code.returns().is_same_type(function.returns) || !has_same_constant(code, function) {
                return Err(NotInstalled::ReturnTypeDiffers);
            }
            code
        }
        // First a code instance without pointers, as inference creates it. The pointers follow.
        // SAFETY: in this world, the newest one, calls return this: the function's edges hold.
        Place::None => unsafe {
            CodeInstance::add(
                function.method_instance,
                function.returns,
                function.constant,
                function.inferred,
                function.invoke != Some(Invoke::ConstReturn),
                mutation!("worlds: code is there for older worlds", world, 1),
            )
        },
    };
    if let Some(invoke) = function.invoke {
        // SAFETY: the code stays mapped, its slots are filled, and it is correct as long as its edges hold; Julia
        // invalidates the code instance when one does not.
        unsafe { target.publish(invoke, function.specptr) };
    }
    Ok(true)
}

/// The code instance for the pointers of a function.
enum Place<'j> {
    /// The session already has code, or its own result of inference.
    Taken,
    /// This code instance, which has the result of inference.
    Inferred(CodeInstance<'j>),
    /// There is none yet.
    None,
}

fn find_place<'j>(function: &Compiled<'j>, world: usize) -> Result<Place<'j>, NotInstalled> {
    let mut place = Place::None;
    for code in function.method_instance.code_instances().filter(|code| code.holds_in(world)) {
        // This session has its own result of inference, which stays.
        if function.invoke.is_none() {
            return Ok(Place::Taken);
        }
        if let Some(invoke) = code.invoke() {
            if invoke == Invoke::ConstReturn && function.invoke == Some(Invoke::ConstReturn) {
                return Ok(Place::Taken);
            }
            // Another library of this session was first. It has the same method instance.
            if is_of_a_library(code) {
                return Ok(Place::Taken);
            }
            if mutation!("installed: over what the session has compiled", true, false) {
                return Err(NotInstalled::AlreadyCompiled);
            }
            place = Place::Inferred(code);
        }
        if matches!(place, Place::None) && code.inferred().is_some() {
            place = Place::Inferred(code);
        }
    }
    Ok(place)
}

fn is_of_a_library(code: CodeInstance<'_>) -> bool {
    code.invoke().is_some_and(|invoke| library::owned(invoke.address())) || library::owned(code.specptr())
}

/// If a call only returns an inferred constant: does the library have the same constant?
fn has_same_constant(code: CodeInstance<'_>, function: &Compiled<'_>) -> bool {
    function.invoke != Some(Invoke::ConstReturn)
        || match (code.constant(), function.constant) {
            (Some(known), Some(constant)) => known.is_egal(constant),
            _ => false,
        }
}

/// Invalidates code that was installed in this moment, as of its world.
pub fn close(instance: MethodInstance<'_>, moment: &Moment<'_>) {
    let world = moment.world;
    for code in instance.code_instances() {
        let ours = code.min_world() == world || is_of_a_library(code);
        if ours && code.max_world() == usize::MAX {
            // SAFETY: no other thread changes it, as the moment proves.
            unsafe { code.close(world) };
        }
    }
}
