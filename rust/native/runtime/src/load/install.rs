//! Puts function pointers into code instances: the one place that changes what Julia runs.

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
    /// The value that every call gives, if inference has found that out.
    pub constant: Option<Object<'j>>,
    /// The inferred code that callers may inline.
    pub inferred: Option<Object<'j>>,
    /// How it is called. Without it only what inference found is kept, for those that call it.
    pub invoke: Option<Invoke>,
    /// What goes into `specptr`.
    pub specptr: Option<usize>,
}

/// Why a function has no place in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInstalled {
    /// This session has compiled it itself.
    AlreadyCompiled,
    /// This session has inferred another type or constant for what it returns.
    ReturnTypeDiffers,
}

/// Installs one function for `world` and later; says whether it was put in place. It is not if another library was first.
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
        // A code instance without pointers is what inference leaves behind; the pointers follow.
        // SAFETY: in this world, the newest, that is what calls give: the function's edges hold.
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
        // SAFETY: code that stays, whose slots are filled, and that is right as long as its edges hold; Julia ends the
        // validity of the code instance when one does not.
        unsafe { target.publish(invoke, function.specptr) };
    }
    Ok(true)
}

/// Where the pointers of a function go.
enum Place<'j> {
    /// The session has code for it already, or a result of its own.
    Taken,
    /// Into this code instance, with which inference is done.
    Inferred(CodeInstance<'j>),
    /// There is none yet.
    None,
}

fn find_place<'j>(function: &Compiled<'j>, world: usize) -> Result<Place<'j>, NotInstalled> {
    let mut place = Place::None;
    for code in function.method_instance.code_instances().filter(|code| code.holds_in(world)) {
        // Inference in this session has found a result itself: that one stays.
        if function.invoke.is_none() {
            return Ok(Place::Taken);
        }
        if let Some(invoke) = code.invoke() {
            if invoke == Invoke::ConstReturn && function.invoke == Some(Invoke::ConstReturn) {
                return Ok(Place::Taken);
            }
            // Another library of this session was first: it is the same method instance.
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

/// Where nothing runs and Julia gives back the constant that it has inferred: is it that of the library?
fn has_same_constant(code: CodeInstance<'_>, function: &Compiled<'_>) -> bool {
    function.invoke != Some(Invoke::ConstReturn)
        || match (code.constant(), function.constant) {
            (Some(known), Some(constant)) => known.is_egal(constant),
            _ => false,
        }
}

/// Ends the validity of what was installed in a moment with its world.
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
