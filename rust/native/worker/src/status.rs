//! Where each requested method stands.

use std::collections::{HashMap, HashSet};

use nativecache_image::{Bucket, Entry, FunctionId, Reason};
use nativecache_julia::handles::{CodeInstance, MethodInstance};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;
use nativecache_store::lines::line;

use crate::instance_text::instance_text;
use crate::world::World;

/// Why a method is not in the library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// The kind of trouble.
    pub(crate) reason: Reason,
    /// What exactly.
    pub(crate) detail: String,
}

impl Refusal {
    /// For `reason`, with what exactly.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Refusal { reason, detail: detail.into() }
    }
}

impl From<Undescribable> for Refusal {
    fn from(error: Undescribable) -> Self {
        Refusal { reason: error.reason, detail: error.detail }
    }
}

/// Where one requested method stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Status<'j> {
    /// To be compiled.
    Wanted(MethodInstance<'j>),
    /// Inference found that it returns a constant.
    Constant(CodeInstance<'j>),
    /// Left out on purpose.
    Skipped(Refusal),
    /// Should have worked.
    Failed(Refusal),
}

/// The method instances that are to be compiled.
pub(crate) fn wanted<'j>(statuses: &[Status<'j>]) -> Vec<MethodInstance<'j>> {
    let instance = |status: &Status<'j>| match status {
        Status::Wanted(instance) => Some(*instance),
        _ => None,
    };
    statuses.iter().filter_map(instance).collect()
}

/// Says why `instance` is not compiled, wherever it was asked for.
pub(crate) fn skip<'j>(statuses: &mut [Status<'j>], instance: MethodInstance<'j>, refusal: &Refusal) {
    for status in statuses.iter_mut().filter(|status| **status == Status::Wanted(instance)) {
        *status = Status::Skipped(refusal.clone());
    }
}

/// Takes out what killed an earlier worker: method instances as [`instance_text`] has them.
pub(crate) fn exclude<'j>(world: &World<'j>, statuses: &mut [Status<'j>], excluded: &[String]) {
    if excluded.is_empty() {
        return;
    }
    let excluded: HashSet<&str> = excluded.iter().map(String::as_str).collect();
    let is_excluded = |instance| excluded.contains(instance_text(instance).as_str());
    for code in &world.code_instances {
        if is_excluded(code.method_instance()) {
            world.forget_inferred(*code);
        }
    }
    for status in statuses {
        if matches!(status, Status::Wanted(instance) if is_excluded(*instance)) {
            let detail = "tried alone in a process of its own";
            *status = Status::Failed(Refusal::new(Reason::CompilerAborted, detail));
        }
    }
}

/// What the library says of a requested method.
pub(crate) fn entry<'j>(
    statement: &str,
    status: &Status<'j>,
    functions: &HashMap<MethodInstance<'j>, FunctionId>,
    describer: &mut Describer<'j>,
) -> Entry {
    let mut package = None;
    let bucket = match status {
        Status::Wanted(instance) => {
            package = instance.method().and_then(|method| describer.package_of(method.module().root()).ok());
            match functions.get(instance) {
                Some(id) => Bucket::Compiled(*id),
                None => Bucket::Failed { reason: Reason::NotInferred, detail: "nothing was emitted".into() },
            }
        }
        // What is still a constant result is neither a function nor refused: see assemble.rs.
        Status::Constant(_) => Bucket::Skipped { reason: Reason::ConstantResult, detail: String::new() },
        Status::Skipped(Refusal { reason, detail }) => {
            Bucket::Skipped { reason: *reason, detail: detail.clone() }
        }
        Status::Failed(Refusal { reason, detail }) => {
            Bucket::Failed { reason: *reason, detail: detail.clone() }
        }
    };
    Entry { statement: statement.to_owned(), package, bucket }
}

/// What became of a requested method, as the line that `nativecache_peek` gives in a session.
pub(crate) fn outcome_line(entry: &Entry) -> String {
    match &entry.bucket {
        Bucket::Compiled(_) => line("compiled", None, &entry.statement, ""),
        Bucket::Skipped { reason, detail } => line("skipped", Some(*reason), &entry.statement, detail),
        Bucket::Failed { reason, detail } => line("failed", Some(*reason), &entry.statement, detail),
    }
}
