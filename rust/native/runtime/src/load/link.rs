//! One library in this session, from its file to installed functions.
//!
//! Order, each step only after the one before: file verified, key equal, packages at their build ids,
//! set of loaded modules known to the library, objects found, code mapped, slots filled, functions
//! installed. A function whose objects are not all there stays out, with the reason.

use nativecache_julia::root_modules;
use nativecache_mutation::mutation;
use std::ffi::CString;
use std::sync::OnceLock;
use std::time::Instant;

use jl_sys::{jl_array_t, jl_code_instance_t, jl_method_instance_t};
use nativecache_image::{
    BucketRef, EntryId, FunctionId, FunctionRef, Hash, Image, Invoke, PackageId, Reason, SlotId,
};

use crate::edges::check::{add_backedge, Verifier};
use crate::edges::untouched;
use crate::error::Rejected;
use crate::load::install::{close, install, Compiled, InvokePointer};
use crate::load::key;
use crate::load::library::{Code, LibraryFile};
use crate::load::loaded::{self, Loaded};
use crate::load::stage_times::Lap;
pub use crate::load::stage_times::Steps;
use crate::objects::resolve::{Missing, Resolver, Surroundings, Trouble};
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_array_ptr_1d_push, jl_fptr_const_return, jl_get_world_counter};
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;

mod outcomes;

/// What became of one function of a library.
#[derive(Clone, Debug)]
pub enum State {
    /// Julia calls it.
    Installed,
    /// It has no code; others rely on what inference found about it.
    Inferred,
    /// It needs a package that is not loaded.
    Waiting(PackageId),
    /// It is not used, and why.
    Rejected(Reason, String),
}

/// How often a requested method ended where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requested: u32,
    pub installed: u32,
    pub waiting: u32,
    pub skipped: u32,
    pub rejected: u32,
    pub failed: u32,
    /// Functions installed, requested or not.
    pub functions: u32,
    pub slots: u32,
}

/// A library that passed the checks of the whole, or why it did not.
pub struct Linked {
    file: &'static LibraryFile,
    image: Image<'static>,
    parts: Option<Parts>,
    states: Vec<State>,
    rejected: Option<Rejected>,
    /// Functions that verify mode found to differ from what would be compiled now.
    refused: Vec<FunctionId>,
    /// A code instance was made to point into its code, or to return a constant of it.
    in_use: bool,
    /// Packages that were not loaded when it was last tried.
    missing: Vec<PackageId>,
    /// Seconds spent on it so far.
    pub seconds: f64,
    /// The same, step by step.
    pub steps: Steps,
}

/// Where code begins, ascending, and the method instance that it is of; sorted when a frame is looked up for the first
/// time.
#[derive(Default)]
struct Starts(OnceLock<Vec<(usize, *mut jl_method_instance_t)>>);

struct Parts {
    code: Code,
    sysimage: Option<Sysimage>,
    starts: Starts,
    resolver: Resolver,
    filled: Vec<bool>,
    strings: Vec<CString>,
}

/// Where a requested method ended up, for `status`.
pub struct Outcome {
    pub bucket: &'static str,
    pub reason: Option<Reason>,
    pub statement: String,
    pub detail: String,
    /// The last world in which its installed code held, if that has passed.
    pub ended: Option<usize>,
}

impl Linked {
    /// Checks and links a library. An error means that it is not for this session, or damaged.
    ///
    /// # Safety
    /// Called on a Julia thread. `loaded` is a live array of the loaded root modules, `roots` one that
    /// Julia keeps alive. `verdict` is what verify mode says: functions that must not be used, or why none may.
    pub unsafe fn open(
        file: LibraryFile,
        start: Instant,
        loaded: *mut jl_array_t,
        roots: *mut jl_array_t,
        session_key: &[(String, String)],
        verdict: Result<&[FunctionId], Rejected>,
    ) -> Result<Self, Rejected> {
        // The tables are read in place for as long as the code is mapped, and that is for ever.
        let file = Box::into_raw(Box::new(file));
        // SAFETY: nothing else refers to it, and it stays where it is unless the library is rejected below.
        let checked = for_session(unsafe { &*file }, session_key);
        let image = checked.inspect_err(|_| {
            // SAFETY: the error holds texts of its own; with it, no reference to the file is left.
            drop(unsafe { Box::from_raw(file) });
        })?;
        // SAFETY: as above.
        let file: &'static LibraryFile = unsafe { &*file };
        let (refused, rejected) = match verdict {
            Ok(refused) => (refused.to_vec(), None),
            Err(unproved) => (Vec::new(), Some(unproved)),
        };
        let count = image.function_count() as usize;
        let pending = State::Rejected(Reason::Unresolved, "not tried".to_owned());
        let mut linked = Linked {
            file,
            image,
            parts: None,
            states: vec![pending; count],
            rejected,
            refused,
            in_use: false,
            missing: Vec::new(),
            seconds: 0.0,
            steps: Steps::default(),
        };
        linked.steps.check = start.elapsed().as_secs_f64();
        if linked.rejected.is_none() {
            // SAFETY: as the caller says.
            linked.rejected = unsafe { linked.advance(loaded, roots) }.err();
        }
        linked.seconds = start.elapsed().as_secs_f64();
        Ok(linked)
    }

    /// Why the whole library is not used at the moment.
    pub fn rejection(&self) -> Option<&Rejected> {
        self.rejected.as_ref()
    }

    /// Could another loaded package change anything?
    pub fn may_advance(&self) -> bool {
        match &self.rejected {
            Some(_) => false,
            None => self.states.iter().any(|s| matches!(s, State::Waiting(_))),
        }
    }

    /// Tries again with the packages that are loaded now.
    ///
    /// # Safety
    /// As [`Linked::open`].
    pub unsafe fn retry(&mut self, loaded: *mut jl_array_t, roots: *mut jl_array_t) {
        if !self.may_advance() {
            return;
        }
        let start = Instant::now();
        // SAFETY: as the caller says.
        unsafe {
            let loaded = root_modules::roots(loaded);
            let found = loaded::find_packages(&self.image, &loaded);
            let arrived =
                self.missing.iter().any(|id| !matches!(found.get(id.index()), Some(Loaded::Missing)));
            if !arrived {
                return;
            }
        }
        // SAFETY: as the caller says.
        self.rejected = unsafe { self.advance(loaded, roots) }.err();
        self.seconds += start.elapsed().as_secs_f64();
    }

    unsafe fn advance(&mut self, loaded: *mut jl_array_t, roots: *mut jl_array_t) -> Result<(), Rejected> {
        // SAFETY: as `open` says; the collector stays off while objects are held only here.
        unsafe {
            let loaded = root_modules::roots(loaded);
            let packages = loaded::find_packages(&self.image, &loaded);
            self.missing = (0..self.image.package_count())
                .map(PackageId)
                .filter(|id| matches!(packages.get(id.index()), Some(Loaded::Missing)))
                .collect();
            let julia = Stopped::new();
            let world = jl_get_world_counter();
            let mut lap = Lap::start();
            let mut parts = match self.parts.take() {
                Some(parts) => parts,
                None => self.new_parts(world)?,
            };
            lap.add_to(&mut self.steps.map);
            let origins = parts.resolver.origins();
            let pristine = parts
                .sysimage
                .as_ref()
                .is_some_and(|s| untouched::holds(&self.image, &loaded, s, origins, world));
            let around = parts.resolver.surroundings(&julia, &packages, world).map_err(|missing| {
                Rejected::new(Reason::Unresolved, format!("{:?}", Trouble::Missing(missing)))
            })?;
            parts.resolver.run(&self.image, &around, pristine);
            mutation!(
                "roots: what slots hold is not kept",
                jl_array_ptr_1d_push(roots, parts.resolver.rooted(&julia).as_ptr().cast()),
                ()
            );
            lap.add_to(&mut self.steps.resolve);
            let troubles = self.fill_slots(&mut parts, &around);
            lap.add_to(&mut self.steps.fill);
            // First without generators: Julia compiles them to ask them, with what they call, and all of that
            // may be in the library.
            let mut done = vec![false; self.states.len()];
            for ask in [false, true] {
                let mut verifier = Verifier::new(
                    self.image,
                    &parts.resolver,
                    parts.sysimage.as_ref(),
                    &loaded,
                    self.missing.first().copied(),
                    world,
                )
                .ask_generators(ask);
                let verdicts = verifier.functions(&self.refused);
                let unasked = verifier.has_unasked();
                lap.add_to(&mut self.steps.verify);
                self.install_all(&mut parts, &troubles, &verdicts, &mut done, world);
                lap.add_to(&mut self.steps.install);
                if !unasked {
                    break;
                }
            }
            self.parts = self.kept(parts, roots);
        }
        Ok(())
    }

    /// The parts, unless nothing of the library is in use and nothing can be: then its code is unmapped. So is that
    /// of one whose methods the session has compiled, or has from another library.
    ///
    /// # Safety
    /// As [`Linked::open`].
    unsafe fn kept(&mut self, parts: Parts, roots: *mut jl_array_t) -> Option<Parts> {
        if self.may_advance() || self.in_use {
            return Some(parts);
        }
        // SAFETY: no code instance was made to point into it, so nobody has called it or put its address into a slot.
        // Its objects are the last of the roots, and nothing else needs them there: what inference found lies in the
        // code instances themselves.
        unsafe {
            jl_array_del_end(roots, 1);
            parts.code.close();
        }
        None
    }

    unsafe fn new_parts(&self, world: usize) -> Result<Parts, Rejected> {
        let sysimage = Sysimage::current();
        let resolver = Resolver::new(&self.image, sysimage.as_ref(), world);
        Ok(Parts {
            code: self.file.load()?,
            sysimage,
            starts: Starts::default(),
            resolver,
            filled: vec![false; self.image.slot_count() as usize],
            strings: Vec::new(),
        })
    }

    unsafe fn fill_slots(&self, parts: &mut Parts, around: &Surroundings<'_, '_>) -> Vec<Option<Trouble>> {
        let mut troubles = vec![None; parts.filled.len()];
        for (index, trouble) in troubles.iter_mut().enumerate() {
            if parts.filled[index] {
                continue;
            }
            let id = SlotId(u32::try_from(index).unwrap_or(u32::MAX));
            // SAFETY: as `open` says; the index is below the slot count, and no function that uses an
            // unfilled slot is installed.
            unsafe {
                match parts.resolver.slot(&self.image, around, id, &mut parts.strings) {
                    Ok(pointer) => {
                        parts.code.fill(id.0, pointer);
                        parts.filled[index] = true;
                    }
                    Err(found) => *trouble = Some(found),
                }
            }
        }
        troubles
    }

    unsafe fn install_all(
        &mut self,
        parts: &mut Parts,
        troubles: &[Option<Trouble>],
        verdicts: &[Result<(), State>],
        done: &mut [bool],
        world: usize,
    ) {
        let mut fresh = Vec::new();
        for (index, done) in done.iter_mut().enumerate() {
            // In the pass before this one.
            if *done {
                continue;
            }
            *done = matches!(verdicts.get(index), Some(Ok(())));
            let id = FunctionId(u32::try_from(index).unwrap_or(u32::MAX));
            if matches!(self.states[index], State::Installed | State::Inferred) {
                // Julia takes away the backedges of what it invalidates. If the old methods are back, what is
                // installed now may rely on this function again.
                let holds = matches!(verdicts.get(index), Some(Ok(())));
                if mutation!("backedges: none again at a retry", holds, false) {
                    // SAFETY: as `open` says.
                    unsafe { self.add_backedges(id, parts) };
                }
                continue;
            }
            let unverified = State::Rejected(Reason::EdgesUnknown, String::new());
            let verdict = verdicts.get(index).cloned().unwrap_or(Err(unverified));
            // SAFETY: as `open` says; what is installed is verified.
            let installed = verdict.and_then(|()| unsafe {
                // First, so that no code stands without them; and also if this session has compiled the method
                // itself: the library's own code calls what the library holds of it.
                fresh.extend(self.add_backedges(id, parts));
                self.install_one(id, parts, troubles, world)
            });
            self.states[index] = match installed {
                Ok(None) => State::Inferred,
                Ok(Some(put)) => {
                    self.in_use |= put;
                    State::Installed
                }
                Err(state) => state,
            };
        }
        // SAFETY: as `open` says.
        unsafe {
            // Another thread defined a method meanwhile: it may have looked for backedges too early.
            if jl_get_world_counter() != world {
                fresh.iter().for_each(|mi| close(*mi, world));
            }
        }
        parts.starts = Starts::default();
    }

    /// Makes Julia watch over what one function depends on; its method instance.
    unsafe fn add_backedges(&self, id: FunctionId, parts: &Parts) -> Option<*mut jl_method_instance_t> {
        let function = self.image.function(id).ok()?;
        let mi = parts.resolver.method_instance(function.method_instance).ok()?;
        for edge in function.edges.iter() {
            // SAFETY: as `open` says.
            unsafe { add_backedge(&self.image, &parts.resolver, edge, mi) };
        }
        Some(mi)
    }

    /// Where the code of each method instance begins, installed or not: other code of the library may
    /// call it directly.
    fn starts<'a>(&self, parts: &'a Parts) -> &'a [(usize, *mut jl_method_instance_t)] {
        parts.starts.0.get_or_init(|| {
            let mut starts = Vec::new();
            for (_, function) in self.image.functions() {
                let Ok(mi) = parts.resolver.method_instance(function.method_instance) else { continue };
                let wrapper = match function.invoke {
                    Invoke::Wrapper(code) => Some(code),
                    _ => None,
                };
                for code in [function.spec, wrapper].into_iter().flatten() {
                    // SAFETY: code indices were checked against the count when the image was parsed.
                    starts.push((unsafe { parts.code.function(code.0) }, mi));
                }
            }
            starts.sort_unstable();
            starts
        })
    }

    /// `None` if it has no code; else whether its code is used, and not that of another library that was first.
    unsafe fn install_one(
        &self,
        id: FunctionId,
        parts: &Parts,
        troubles: &[Option<Trouble>],
        world: usize,
    ) -> Result<Option<bool>, State> {
        let function =
            self.image.function(id).map_err(|e| State::Rejected(Reason::Malformed, e.to_string()))?;
        if let Some(trouble) =
            function.slots.iter().find_map(|s| troubles.get(s.index()).and_then(Option::as_ref))
        {
            return Err(state_of(trouble));
        }
        // SAFETY: every slot that the function's code, or code that it calls directly, uses is filled;
        // code indices were checked against the count when the image was parsed.
        unsafe {
            let done = if matches!(function.invoke, Invoke::EdgesOnly) {
                None
            } else {
                let compiled = compiled(&function, parts).map_err(|t| state_of(&t))?;
                let put =
                    install(&compiled, world).map_err(|(reason, detail)| State::Rejected(reason, detail))?;
                (!matches!(function.invoke, Invoke::Inferred)).then_some(put)
            };
            Ok(done)
        }
    }
}

/// The tables, if they are well-formed and the key of the library is that of this session.
fn for_session<'a>(file: &'a LibraryFile, session_key: &[(String, String)]) -> Result<Image<'a>, Rejected> {
    let image = file.image()?;
    let library_key = (0..image.key_count())
        .map(|i| image.key_component(i).map(|(n, v)| (n.to_owned(), v.to_owned())))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Rejected::new(e.reason(), e.to_string()))?;
    key::check(&library_key, session_key)?;
    Ok(image)
}

unsafe fn compiled(function: &FunctionRef<'_>, parts: &Parts) -> Result<Compiled, Trouble> {
    let resolver = &parts.resolver;
    let rettype_const = match function.rettype_const {
        Some(node) => resolver.get(node)?,
        None => std::ptr::null_mut(),
    };
    // SAFETY: code indices are below the count.
    unsafe {
        Ok(Compiled {
            method_instance: resolver.method_instance(function.method_instance)?,
            rettype: resolver.get(function.rettype)?,
            rettype_const,
            invoke: match function.invoke {
                Invoke::Args => InvokePointer::Args,
                Invoke::Sparam => InvokePointer::Sparam,
                Invoke::ConstReturn => InvokePointer::ConstReturn,
                Invoke::Wrapper(code) => InvokePointer::Wrapper(parts.code.function(code.0)),
                Invoke::Inferred => InvokePointer::Inferred,
                Invoke::EdgesOnly => return Err(Missing::InferenceResult.into()),
            },
            inferred: function.inferred.map_or(Ok(std::ptr::null_mut()), |node| resolver.get(node))?,
            spec: function.spec.map_or(0, |code| parts.code.function(code.0)),
        })
    }
}

pub fn state_of(trouble: &Trouble) -> State {
    match trouble {
        Trouble::Waiting(package) => State::Waiting(*package),
        Trouble::OtherBuild(what) => State::Rejected(Reason::PackageBuild, what.clone()),
        Trouble::Redefined(what) => State::Rejected(Reason::Redefined, what.clone()),
        Trouble::Missing(what) => State::Rejected(Reason::Unresolved, what.to_string()),
    }
}

extern "C" {
    fn jl_array_del_end(array: *mut jl_array_t, count: usize);
}
