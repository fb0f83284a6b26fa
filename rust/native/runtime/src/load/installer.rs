//! The functions of a library, installed as far as they hold.

use nativecache_image::{FunctionId, FunctionRef, Image, Invoke as InvokeOf};
use nativecache_julia::handles::{Invoke, MethodInstance};
use nativecache_mutation::mutation;

use crate::edges::backedges;
use crate::edges::check::Verdict;
use crate::load::install::{close, install, Compiled};
use crate::load::mapped::{EmptySlots, Mapped};
use crate::load::moment::Moment;
use crate::load::state::{Obstacle, Refusal, State};

/// Installs the functions of one library, in one or two passes.
pub(crate) struct Installer<'a, 'j> {
    image: Image<'a>,
    mapped: &'a Mapped,
    moment: &'a Moment<'j>,
    empty: EmptySlots,
    /// What held in an earlier pass.
    done: Vec<bool>,
}

impl<'a, 'j> Installer<'a, 'j> {
    /// Nothing is installed yet. `empty` are the slots that could not be filled.
    pub(crate) fn new(
        image: Image<'a>,
        mapped: &'a Mapped,
        moment: &'a Moment<'j>,
        empty: EmptySlots,
    ) -> Self {
        let done = vec![false; image.function_count() as usize];
        Installer { image, mapped, moment, empty, done }
    }

    /// Installs what holds by these verdicts and has not been installed before; what became of each goes into `states`. Was
    /// any code put in place?
    ///
    /// # Safety
    /// The verdicts are those of a `Verifier` on the same image, its mapped code, and the same moment.
    pub(crate) unsafe fn pass(&mut self, verdicts: &[Verdict], states: &mut [State]) -> bool {
        let mut in_use = false;
        let mut fresh = Vec::new();
        for (index, state) in states.iter_mut().enumerate() {
            if self.done.get(index).copied().unwrap_or(true) {
                continue;
            }
            let id = FunctionId(u32::try_from(index).unwrap_or(u32::MAX));
            let verdict = verdicts.get(index).cloned().unwrap_or(Err(Refusal::EdgesUnknown.into()));
            let holds = verdict.is_ok();
            self.done[index] = holds;
            if matches!(state, State::Installed | State::Inferred) {
                // Julia takes away the backedges of what it invalidates. If the old methods are back, what is
                // installed now may rely on this function again.
                if mutation!("backedges: none again at a retry", holds, false) {
                    self.add_backedges(id);
                }
                continue;
            }
            let installed = verdict.and_then(|()| {
                // First, so that no code stands without them; and also if this session has compiled the method
                // itself: the library's own code calls what the library holds of it.
                fresh.extend(self.add_backedges(id));
                // SAFETY: the verdict on it is good, and its backedges are there.
                unsafe { self.install_one(id) }
            });
            *state = match installed {
                Ok(None) => State::Inferred,
                Ok(Some(put)) => {
                    in_use |= put;
                    State::Installed
                }
                Err(obstacle) => State::Out(obstacle),
            };
        }
        // Another thread defined a method meanwhile: it may have looked for backedges too early.
        if self.moment.julia.world() != self.moment.world {
            fresh.iter().for_each(|instance| close(*instance, self.moment));
        }
        in_use
    }

    /// Makes Julia watch over what one function depends on; its method instance.
    fn add_backedges(&self, id: FunctionId) -> Option<MethodInstance<'j>> {
        let function = self.image.function(id).ok()?;
        let resolver = &self.mapped.resolver;
        let instance = resolver.instance(self.moment.julia, function.method_instance).ok()?;
        for edge in function.edges.iter() {
            backedges::add(self.moment, &self.image, resolver, edge, instance);
        }
        Some(instance)
    }

    /// Installs one function. `None` if it has no code; else whether its code is used, and not that of another library that
    /// was first.
    ///
    /// # Safety
    /// All its edges hold in this moment, and its backedges are there.
    unsafe fn install_one(&self, id: FunctionId) -> Result<Option<bool>, Obstacle> {
        let function = self.image.function(id)?;
        if let Some(trouble) = self.empty.first_of(function.slots.iter()) {
            return Err(trouble.clone().into());
        }
        if matches!(function.invoke, InvokeOf::EdgesOnly) {
            return Ok(None);
        }
        let compiled = self.compiled(&function)?;
        // SAFETY: the objects are rooted; every slot that the function's code, or code that it calls directly, uses is
        // filled; its edges hold in the newest world, or what is installed is closed again.
        let put = unsafe { install(&compiled, self.moment.world) }?;
        Ok(compiled.invoke.is_some().then_some(put))
    }

    /// A function with the objects of this session in place of their descriptions.
    fn compiled(&self, function: &FunctionRef<'_>) -> Result<Compiled<'j>, Obstacle> {
        let object = |node| self.mapped.resolver.object(self.moment.julia, node);
        let constant = function.rettype_const.map(object).transpose()?;
        Ok(Compiled {
            constant,
            method_instance: self.mapped.resolver.instance(self.moment.julia, function.method_instance)?,
            returns: object(function.rettype)?,
            inferred: function.inferred.map(object).transpose()?,
            invoke: match function.invoke {
                InvokeOf::Args => Some(Invoke::Args),
                InvokeOf::Sparam => Some(Invoke::Sparam),
                InvokeOf::ConstReturn => Some(Invoke::ConstReturn),
                InvokeOf::Wrapper(code) => Some(Invoke::Function(self.mapped.address(code))),
                InvokeOf::Inferred | InvokeOf::EdgesOnly => None,
            },
            specptr: function.spec.map(|code| self.mapped.address(code)),
        })
    }
}
