//! What became of the functions of a library in this session, for `status` and `explain`.

use nativecache_image::{BucketRef, EntryId, FunctionId, FunctionRef, Invoke as InvokeOf, Reason};
use nativecache_julia::handles::{CodeInstance, Invoke, MethodInstance};
use nativecache_julia::stopped::Stopped;

use crate::load::link::Linked;
use crate::load::mapped::Mapped;
use crate::load::state::{Obstacle, State};

/// Where a requested method ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Julia calls the library's code, or has another library's.
    Installed,
    /// It needs a package that is not loaded.
    Waiting,
    /// It was left out of the library on purpose.
    Skipped,
    /// The library has it, and it cannot be used.
    Rejected,
    /// It could not be built.
    Failed,
}

impl Bucket {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Bucket::Installed => "installed",
            Bucket::Waiting => "waiting",
            Bucket::Skipped => "skipped",
            Bucket::Rejected => "rejected",
            Bucket::Failed => "failed",
        }
    }
}

/// How often a requested method ended where; the buckets add up to `requested`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Methods that the library was to have.
    pub requested: u32,
    /// Of these, in [`Bucket::Installed`].
    pub installed: u32,
    /// Of these, in [`Bucket::Waiting`].
    pub waiting: u32,
    /// Of these, in [`Bucket::Skipped`].
    pub skipped: u32,
    /// Of these, in [`Bucket::Rejected`].
    pub rejected: u32,
    /// Of these, in [`Bucket::Failed`].
    pub failed: u32,
    /// Functions installed, requested or not.
    pub functions: u32,
    /// Slots of the library.
    pub slots: u32,
}

/// Where a requested method ended up, and why.
pub struct Outcome {
    /// Where.
    pub bucket: Bucket,
    /// The kind of reason, unless it is installed.
    pub reason: Option<Reason>,
    /// The statement that asked for it; empty if nobody did.
    pub statement: String,
    /// What exactly the reason is; may be empty.
    pub detail: String,
    /// The last world in which its installed code held, if that has passed.
    pub ended: Option<usize>,
}

/// What became of the functions of one library, as of now.
#[derive(Clone, Copy)]
pub struct Outcomes<'a, 'j> {
    linked: &'a Linked,
    julia: &'j Stopped,
}

impl<'a, 'j> Outcomes<'a, 'j> {
    /// Of this library.
    pub fn of(linked: &'a Linked, julia: &'j Stopped) -> Self {
        Outcomes { linked, julia }
    }

    /// Counts by bucket.
    pub fn counts(self) -> Counts {
        let Linked { image, rejected, states, .. } = self.linked;
        let mut counts =
            Counts { requested: image.entry_count(), slots: image.slot_count(), ..Counts::default() };
        if rejected.is_none() {
            let installed = states.iter().filter(|state| matches!(state, State::Installed)).count();
            counts.functions = u32::try_from(installed).unwrap_or(u32::MAX);
        }
        for outcome in self.requested() {
            match outcome.bucket {
                Bucket::Installed => counts.installed += 1,
                Bucket::Waiting => counts.waiting += 1,
                Bucket::Skipped => counts.skipped += 1,
                Bucket::Failed => counts.failed += 1,
                Bucket::Rejected => counts.rejected += 1,
            }
        }
        counts
    }

    /// What became of every requested method.
    pub fn requested(self) -> impl Iterator<Item = Outcome> + use<'a, 'j> {
        (0..self.linked.image.entry_count()).map(move |index| self.of_request(EntryId(index)))
    }

    fn of_request(self, id: EntryId) -> Outcome {
        let left_out = |bucket, reason, statement: &str, detail: String| Outcome {
            bucket,
            reason: Some(reason),
            statement: statement.to_owned(),
            detail,
            ended: None,
        };
        match self.linked.image.entry(id) {
            Err(error) => left_out(Bucket::Rejected, Reason::Malformed, "", error.to_string()),
            Ok(entry) => match entry.bucket {
                BucketRef::Skipped { reason, detail } => {
                    left_out(Bucket::Skipped, reason, entry.statement, detail.to_owned())
                }
                BucketRef::Failed { reason, detail } => {
                    left_out(Bucket::Failed, reason, entry.statement, detail.to_owned())
                }
                BucketRef::Compiled(function) => self.of_function(function, entry.statement.to_owned()),
            },
        }
    }

    /// What became of the functions of this method instance, requested or not.
    pub fn of_method_instance(self, instance: MethodInstance<'_>) -> Vec<Outcome> {
        let Linked { image, mapped: Some(mapped), .. } = self.linked else { return Vec::new() };
        let same = |function: &FunctionRef<'_>| {
            let found = mapped.resolver.instance(self.julia, function.method_instance);
            found.is_ok_and(|found| found.address() == instance.address())
        };
        let ids = image.functions().filter(|(_, function)| same(function)).map(|(id, _)| id);
        ids.map(|id| self.of_function(id, self.statement_for(id))).collect()
    }

    /// The statement that asked for a function; empty if nobody did.
    fn statement_for(self, id: FunctionId) -> String {
        (0..self.linked.image.entry_count())
            .filter_map(|index| self.linked.image.entry(EntryId(index)).ok())
            .find(|entry| matches!(entry.bucket, BucketRef::Compiled(of) if of == id))
            .map_or_else(String::new, |entry| entry.statement.to_owned())
    }

    fn of_function(self, id: FunctionId, statement: String) -> Outcome {
        let (bucket, reason, detail) = self.state_of(id);
        let ended = if bucket == Bucket::Installed { self.last_world(id) } else { None };
        match ended {
            Some(_) => {
                let (bucket, reason) = (Bucket::Rejected, Some(Reason::Invalidated));
                Outcome { bucket, reason, statement, detail, ended }
            }
            None => Outcome { bucket, reason, statement, detail, ended },
        }
    }

    fn state_of(self, id: FunctionId) -> (Bucket, Option<Reason>, String) {
        if let Some(rejected) = &self.linked.rejected {
            return (Bucket::Rejected, Some(rejected.reason()), rejected.detail());
        }
        match self.linked.states.get(id.index()) {
            Some(State::Installed | State::Inferred) => (Bucket::Installed, None, String::new()),
            Some(State::Out(Obstacle::Waiting(package))) => {
                let name = self.linked.image.package(*package).map(|package| package.name.to_owned());
                (Bucket::Waiting, Some(Reason::PackageMissing), name.unwrap_or_default())
            }
            Some(State::Out(Obstacle::Refused(refusal))) => {
                (Bucket::Rejected, Some(refusal.reason()), refusal.to_string())
            }
            None => (Bucket::Rejected, Some(Reason::Malformed), String::new()),
        }
    }

    /// The last world of this function's installed code, if Julia has invalidated it since.
    fn last_world(self, id: FunctionId) -> Option<usize> {
        let mapped = self.linked.mapped.as_ref()?;
        let function = self.linked.image.function(id).ok()?;
        let instance = mapped.resolver.instance(self.julia, function.method_instance).ok()?;
        let returns_constant = matches!(function.invoke, InvokeOf::ConstReturn);
        let mut last = None;
        for code in instance.code_instances() {
            let Some(invoke) = code.invoke() else { continue };
            let ours = is_of(code, mapped) || returns_constant && invoke == Invoke::ConstReturn;
            if !ours {
                continue;
            }
            if code.max_world() == usize::MAX {
                return None;
            }
            last = last.max(Some(code.max_world()));
        }
        last
    }

    /// The code instances with code of this library that are valid now.
    pub fn code_instances(self) -> Vec<CodeInstance<'j>> {
        let Linked { image, mapped: Some(mapped), .. } = self.linked else { return Vec::new() };
        image
            .functions()
            .filter_map(|(_, function)| mapped.resolver.instance(self.julia, function.method_instance).ok())
            .flat_map(MethodInstance::code_instances)
            .filter(|code| code.max_world() == usize::MAX && is_of(*code, mapped))
            .collect()
    }
}

/// Does this code lie in the library?
fn is_of(code: CodeInstance<'_>, mapped: &Mapped) -> bool {
    code.invoke().is_some_and(|invoke| mapped.code.owns(invoke.address())) || mapped.code.owns(code.specptr())
}
