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

/// The results of inference. The collector runs in between, so they contain no handles.
pub(crate) struct Inferred {
    outcomes: Vec<Outcome>,
    /// Code instances with their inferred code, which not all of them store.
    sources: Vec<(Kept, Kept)>,
}

/// The result of inference for one requested method.
enum Outcome {
    /// A method instance.
    Wanted(Kept),
    /// A code instance.
    Constant(Kept),
    Skipped(Refusal),
    Failed(Refusal),
}

impl Inferred {
    /// The status of each requested method.
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

    /// The inferred code.
    pub(crate) fn sources<'j>(&self, julia: &'j Stopped) -> HashMap<CodeInstance<'j>, Object<'j>> {
        let source = |(code, source): &(Kept, Kept)| Some((code.as_kind(julia)?, source.get(julia)));
        self.sources.iter().filter_map(source).collect()
    }
}

/// Infers the method instances in `methods`, a `Vector{Any}` of method instances and `nothing`, and makes the newest world
/// the world of inference. Results of inference are a small part of what it allocates. They are kept by their methods, and
/// the inferred code is added to `methods`.
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
    // Only for the profile, which records the cost of compiling a method.
    let _ = std::fs::write(request.workdir.join("times"), times);
    // SAFETY: all requested methods are inferred.
    unsafe { inference.close(julia) };
    Ok(inferred)
}

/// Why a statement has no method instance, from src/processes/worker.jl or src/build/build.jl.
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
