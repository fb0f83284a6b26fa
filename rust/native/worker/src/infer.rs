//! Step 1 of a build: inference, one method instance after the other.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Instant;

use nativecache_image::Reason;
use nativecache_julia::compiler::{Inference, NotInferred};
use nativecache_julia::handles::{Array, CodeInstance, MethodInstance, Object};
use nativecache_julia::kept::Kept;
use nativecache_julia::stopped::{Collections, Stopped};
use nativecache_julia::sysimage::Sysimage;

use crate::error::BuildError;
use crate::journal::Journal;
use crate::request::Request;
use crate::status::{Refusal, Status};
use crate::world::{is_compiled_in, returns_constant};

/// What inference came to. The collector runs in between, so nothing in it is a handle.
pub(crate) struct Inferred {
    outcomes: Vec<Outcome>,
    /// Code instances and their code, which not all of them keep.
    sources: Vec<(Kept, Kept)>,
}

/// What inference came to for one requested method.
enum Outcome {
    /// A method instance.
    Wanted(Kept),
    /// A code instance.
    Constant(Kept),
    Skipped(Refusal),
    Failed(Refusal),
}

impl Inferred {
    /// Where each requested method stands.
    pub(crate) fn statuses<'j>(&self, julia: &'j Stopped) -> Vec<Status<'j>> {
        let gone = || Status::Failed(Refusal::new(Reason::NotInferred, ""));
        let status = |outcome: &Outcome| match outcome {
            Outcome::Wanted(instance) => instance.as_kind(julia).map_or_else(gone, Status::Wanted),
            Outcome::Constant(code) => code.as_kind(julia).map_or_else(gone, Status::Constant),
            Outcome::Skipped(refusal) => Status::Skipped(refusal.clone()),
            Outcome::Failed(refusal) => Status::Failed(refusal.clone()),
        };
        self.outcomes.iter().map(status).collect()
    }

    /// The code that inference gave.
    pub(crate) fn sources<'j>(&self, julia: &'j Stopped) -> HashMap<CodeInstance<'j>, Object<'j>> {
        let source = |(code, source): &(Kept, Kept)| Some((code.as_kind(julia)?, source.get(julia)));
        self.sources.iter().filter_map(source).collect()
    }
}

/// Infers what `methods` holds, a `Vector{Any}` of method instances and `nothing`, and makes the world of inference the
/// newest. Results of inference are a small part of what inference allocates: what they belong to can be reached from the
/// methods, and the code goes into `methods`.
///
/// # Safety
/// In a process that does nothing else; nobody else changes `methods`.
pub(crate) unsafe fn infer(
    julia: &mut Stopped,
    methods: Kept,
    request: &Request,
    sysimage: &Sysimage,
    journal: &mut Journal,
) -> Result<Inferred, BuildError> {
    let list: Array<'_> = methods.as_kind(julia).ok_or(BuildError::NoArray)?;
    // SAFETY: `methods` keeps its items.
    let items: Vec<Option<Kept>> =
        list.places().map(|item| item.map(|item| unsafe { Kept::new(item) })).collect();
    let (given, statements) = (items.len(), request.statements.len());
    if given != statements {
        return Err(BuildError::Mismatch { methods: given, statements });
    }
    // SAFETY: as the caller says.
    let inference = unsafe { Inference::new(julia, list) }.ok_or(BuildError::NoModule)?;
    let mut inferred = Inferred { outcomes: Vec::with_capacity(given), sources: Vec::new() };
    let mut times = String::new();
    let mut collections = Collections::new(julia);
    for (index, item) in items.into_iter().enumerate() {
        collections.here(julia);
        let start = Instant::now();
        let instance = item.and_then(|item| item.as_kind::<MethodInstance<'_>>(julia));
        let outcome = if let Some(instance) = instance {
            journal.note(&format!("infer {}", index + 1));
            // SAFETY: as the caller says.
            unsafe { inferred.infer_one(julia, methods, instance, sysimage, &inference) }
        } else {
            not_found(request, index)
        };
        // Writing to a String cannot fail.
        let _ = writeln!(times, "{}\t{}", index + 1, start.elapsed().as_micros());
        inferred.outcomes.push(outcome);
    }
    // For the profile only: what a method costs when nobody has compiled it.
    let _ = std::fs::write(request.workdir.join("times"), times);
    // SAFETY: all that is wanted is inferred.
    unsafe { inference.close(julia) };
    Ok(inferred)
}

/// Why a statement has no method instance: what src/worker.jl found, or src/build.jl knew.
fn not_found(request: &Request, index: usize) -> Outcome {
    match request.reasons.get(&index).cloned() {
        Some((Reason::CompilerAborted, detail)) => {
            Outcome::Failed(Refusal::new(Reason::CompilerAborted, detail))
        }
        Some((reason, detail)) => Outcome::Skipped(Refusal::new(reason, detail)),
        None => Outcome::Skipped(Refusal::new(Reason::NoSuchMethod, "")),
    }
}

impl Inferred {
    /// # Safety
    /// As [`infer`].
    unsafe fn infer_one(
        &mut self,
        julia: &Stopped,
        methods: Kept,
        instance: MethodInstance<'_>,
        sysimage: &Sysimage,
        inference: &Inference,
    ) -> Outcome {
        let world = julia.world();
        if instance.method().is_none() {
            return Outcome::Skipped(Refusal::new(Reason::NamesMain, "top-level code"));
        }
        let is_there = |code: CodeInstance<'_>| {
            code.holds_in(world) && code.invoke().is_some() && is_compiled_in(sysimage, code)
        };
        if instance.code_instances().any(is_there) {
            return Outcome::Skipped(Refusal::new(Reason::InSysimage, ""));
        }
        // SAFETY: as the caller says.
        match unsafe { inference.infer(julia, instance) } {
            Err(NotInferred::Threw(what)) => Outcome::Failed(Refusal::new(Reason::CompilerThrew, what)),
            Err(NotInferred::NoResult) => Outcome::Failed(Refusal::new(Reason::NotInferred, "")),
            // SAFETY: a code instance is kept by its method instance, and that by its method.
            Ok((code, _)) if returns_constant(code) => Outcome::Constant(unsafe { Kept::new(code) }),
            // SAFETY: as above; the code is kept by `methods`, to which nobody else adds, and so is the instance.
            Ok((code, source)) => unsafe {
                methods.as_kind(julia).into_iter().for_each(|list: Array<'_>| list.push(source));
                self.sources.push((Kept::new(code), Kept::new(source)));
                Outcome::Wanted(Kept::new(instance))
            },
        }
    }
}
