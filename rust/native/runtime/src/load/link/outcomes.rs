//! What became of the functions of a library in this session: counts, methods by bucket, and whose code an address is.

use super::*;

impl Linked {
    /// Counts by bucket; they add up to `requested`.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            requested: self.image.entry_count(),
            slots: self.image.slot_count(),
            ..Counts::default()
        };
        if self.rejected.is_none() {
            let installed = self.states.iter().filter(|s| matches!(s, State::Installed)).count();
            counts.functions = u32::try_from(installed).unwrap_or(u32::MAX);
        }
        for outcome in self.outcomes() {
            match outcome.bucket {
                "installed" => counts.installed += 1,
                "waiting" => counts.waiting += 1,
                "skipped" => counts.skipped += 1,
                "failed" => counts.failed += 1,
                _ => counts.rejected += 1,
            }
        }
        counts
    }

    /// Every requested method with its bucket.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        (0..self.image.entry_count()).map(|i| self.outcome(EntryId(i)))
    }

    fn outcome(&self, id: EntryId) -> Outcome {
        let (statement, bucket) = match self.image.entry(id) {
            Ok(entry) => (entry.statement.to_owned(), entry.bucket),
            Err(e) => {
                return Outcome {
                    bucket: "rejected",
                    reason: Some(Reason::Malformed),
                    statement: String::new(),
                    detail: e.to_string(),
                    ended: None,
                }
            }
        };
        let (bucket, reason, detail) = match bucket {
            BucketRef::Skipped { reason, detail } => ("skipped", Some(reason), detail.to_owned()),
            BucketRef::Failed { reason, detail } => ("failed", Some(reason), detail.to_owned()),
            BucketRef::Compiled(function) => return self.function_outcome(function, statement),
        };
        Outcome { bucket, reason, statement, detail, ended: None }
    }

    /// What became of one function; `statement` is the request for it, if there was one.
    pub fn function_outcome(&self, id: FunctionId, statement: String) -> Outcome {
        let (bucket, reason, detail) = self.function_state(id);
        // SAFETY: resolved objects are rooted; a code instance stays in its method instance's list.
        let ended = if bucket == "installed" { unsafe { self.ended(id) } } else { None };
        match ended {
            Some(_) => {
                Outcome { bucket: "rejected", reason: Some(Reason::Invalidated), statement, detail, ended }
            }
            None => Outcome { bucket, reason, statement, detail, ended },
        }
    }

    /// The last world of this function's installed code, if Julia has invalidated it since.
    unsafe fn ended(&self, id: FunctionId) -> Option<usize> {
        let parts = self.parts.as_ref()?;
        let function = self.image.function(id).ok()?;
        let mi = parts.resolver.method_instance(function.method_instance).ok()?;
        let mut last = None;
        // SAFETY: `mi` is rooted.
        unsafe {
            for ci in inspect::code_instances(mi) {
                let Some(invoke) = (*ci).invoke else { continue };
                let ours = parts.code.owns(invoke as usize)
                    || parts.code.owns((*ci).specptr.fptr as usize)
                    || matches!(function.invoke, Invoke::ConstReturn)
                        && invoke as usize == jl_fptr_const_return as *const () as usize;
                if ours && (*ci).max_world == usize::MAX {
                    return None;
                }
                if ours {
                    last = last.max(Some((*ci).max_world));
                }
            }
        }
        last
    }

    /// The code instances with code of this library that are valid now.
    pub fn code_instances(&self) -> Vec<*mut jl_code_instance_t> {
        let Some(parts) = &self.parts else { return Vec::new() };
        let instances = self
            .image
            .functions()
            .filter_map(|(_, function)| parts.resolver.method_instance(function.method_instance).ok());
        // SAFETY: resolved objects are rooted.
        let of = |mi| unsafe { inspect::code_instances(mi) };
        instances
            .flat_map(of)
            .filter(|ci| {
                // SAFETY: code instances stay in the list of their method instance.
                let (last, invoke, code) = unsafe { ((**ci).max_world, (**ci).invoke, (**ci).specptr.fptr) };
                last == usize::MAX
                    && (invoke.is_some_and(|f| parts.code.owns(f as usize)) || parts.code.owns(code as usize))
            })
            .collect()
    }

    /// The functions of `mi` in this library, requested or not, with what became of them.
    pub fn of_method_instance(&self, mi: *mut jl_method_instance_t) -> Vec<Outcome> {
        let Some(parts) = &self.parts else { return Vec::new() };
        let same = |function: &FunctionRef<'_>| {
            parts.resolver.method_instance(function.method_instance).is_ok_and(|found| found == mi)
        };
        let ids: Vec<FunctionId> =
            self.image.functions().filter(|(_, function)| same(function)).map(|(id, _)| id).collect();
        let statement = |id: FunctionId| {
            (0..self.image.entry_count())
                .filter_map(|i| self.image.entry(EntryId(i)).ok())
                .find(|entry| matches!(entry.bucket, BucketRef::Compiled(of) if of == id))
                .map_or_else(String::new, |entry| entry.statement.to_owned())
        };
        ids.into_iter().map(|id| self.function_outcome(id, statement(id))).collect()
    }

    /// The file that it came from.
    pub fn path(&self) -> &std::path::Path {
        self.file.path()
    }

    fn function_state(&self, id: FunctionId) -> (&'static str, Option<Reason>, String) {
        if let Some(rejected) = &self.rejected {
            return ("rejected", Some(rejected.reason), rejected.detail.clone());
        }
        match self.states.get(id.index()) {
            Some(State::Installed | State::Inferred) => ("installed", None, String::new()),
            Some(State::Waiting(package)) => {
                let name = self.image.package(*package).map(|p| p.name.to_owned());
                ("waiting", Some(Reason::PackageMissing), name.unwrap_or_default())
            }
            Some(State::Rejected(reason, detail)) => ("rejected", Some(*reason), detail.clone()),
            None => ("rejected", Some(Reason::Malformed), String::new()),
        }
    }

    /// Does this address lie in the library's code?
    pub fn owns(&self, address: usize) -> bool {
        self.parts.as_ref().is_some_and(|p| p.code.owns(address))
    }

    /// The method instance whose installed code is the last to begin at or before `address`.
    pub fn instance_at(&self, address: usize) -> Option<*mut jl_method_instance_t> {
        let starts = self.starts(self.parts.as_ref()?);
        let after = starts.partition_point(|(start, _)| *start <= address);
        starts.get(after.checked_sub(1)?).map(|(_, mi)| *mi)
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Which build it is.
    pub fn image_hash(&self) -> Hash {
        self.file.image_hash()
    }
}
