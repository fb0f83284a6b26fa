//! What the addresses in generated code are: the map of known addresses, behind codegen's questions.
//!
//! An address is known when a binding, an object that the runtime vouches for, a C function that the
//! code itself names, an exported symbol, or the declared type of a C function's parameter says what
//! it is. Anything else is unknown, and the method that holds it is not cached.

use nativecache_mutation::mutation;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use jl_sys::jl_code_instance_t;
use nativecache_codegen::{Addresses, Answer, Callee, SlotUse, Thunk, ThunkLiteral, Use};
use nativecache_image::{NodeId, Reason, Slot};
use nativecache_julia::addresses::Objects;
use nativecache_julia::handles::Module;
use nativecache_julia::julia_1_5::jl_fptr_args;
use nativecache_julia::object::Value;
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::foreign::{exported_symbol, ForeignTargets};

/// Answers codegen's questions and gathers slots.
pub struct Known<'j> {
    pub describer: Describer<'j>,
    objects: Objects,
    foreign: ForeignTargets,
    code_instances: HashSet<usize>,
    mappings: Vec<Range<u64>>,
    /// Why a function's address is unknown: first reason by function name.
    pub reasons: HashMap<String, (Reason, String)>,
}

impl<'j> Known<'j> {
    /// `code_instances` are all that are alive.
    pub fn new(
        describer: Describer<'j>,
        objects: Objects,
        foreign: ForeignTargets,
        code_instances: HashSet<usize>,
    ) -> Self {
        Known { describer, objects, foreign, code_instances, mappings: mappings(), reasons: HashMap::new() }
    }

    fn blame(&mut self, function: &str, reason: Reason, detail: String) {
        self.reasons.entry(function.to_owned()).or_insert((reason, detail));
    }

    fn slot(&mut self, slot: Slot) -> Result<u32, Undescribable> {
        Ok(self.describer.image.slot(slot)?.0)
    }

    fn binding(&mut self, module: Module<'j>, name: &str, offset: u32) -> Result<u32, Undescribable> {
        let module = self.describer.node(module.into())?;
        self.slot(Slot::Binding { module, name: name.to_owned(), offset })
    }

    unsafe fn object(&mut self, address: usize) -> Option<Result<u32, Undescribable>> {
        // SAFETY: the collector is off; code generation used the address as an object.
        unsafe {
            if !self.describer.paths().knows(address) && !self.objects.is_object(address) {
                return None;
            }
            let described = self.describer.describe(address as Value);
            Some(described.and_then(|node| self.slot(Slot::Object(node))))
        }
    }

    unsafe fn find(&mut self, address: u64, usage: Use<'_>) -> Option<Result<u32, Undescribable>> {
        let at = usize::try_from(address).ok()?;
        // SAFETY: addresses are only compared, or read where their use says what they are.
        unsafe {
            match usage {
                Use::Function => {
                    let target = self.foreign.get(at).cloned().or_else(|| exported_symbol(at))?;
                    let (library, name) = target;
                    Some(self.slot(Slot::CSymbol { library, name }))
                }
                Use::CString { .. } => {
                    let text = std::ffi::CStr::from_ptr(at as *const _).to_bytes().to_vec();
                    Some(self.slot(Slot::CString(text)))
                }
                Use::Value => {
                    if let Some((module, name, offset)) = self.describer.paths().binding_around(at) {
                        return Some(self.binding(module, name, offset));
                    }
                    if let Some(slot) = self.object(at) {
                        return Some(slot);
                    }
                    // A C variable, through `unsafe_load(cglobal(…))`.
                    let (library, name) = self.foreign.get(at).cloned().or_else(|| exported_symbol(at))?;
                    Some(self.slot(Slot::CSymbol { library, name }))
                }
                // `cglobal` is the one source of plain integers whose meaning the code itself says.
                Use::Integer { .. } => {
                    let (library, name) = self.foreign.get(at).cloned()?;
                    Some(self.slot(Slot::CSymbol { library, name }))
                }
            }
        }
    }

    unsafe fn find_callee(&mut self, thunk: &Thunk<'_>) -> Result<Callee, Undescribable> {
        // SAFETY: the literal is an object that code generation put there; a code instance is looked
        // up among all that are alive before it is read.
        unsafe {
            if thunk.kind == ThunkLiteral::MethodInstance {
                let node = self.describer.describe(thunk.literal as Value)?;
                return Ok(Callee::Generic { method_instance: self.slot(Slot::Object(node))? });
            }
            if !self.code_instances.contains(&(thunk.literal as usize)) {
                return Ok(Callee::Unknown);
            }
            let ci = thunk.literal as *mut jl_code_instance_t;
            let sysimage = self.objects.sysimage();
            let native = sysimage.data.contains(&(ci as usize))
                && sysimage.span.contains(&((*ci).specptr.fptr as usize));
            let node: Option<NodeId> = if native { self.describer.describe(ci.cast()).ok() } else { None };
            let Some(node) = node else {
                // Compiled in this process only, or not what a later session finds: ask at run time.
                let mi = self.describer.describe((*ci).def.cast())?;
                return Ok(Callee::Generic { method_instance: self.slot(Slot::Object(mi))? });
            };
            let takes_args = (*ci).invoke.is_some_and(|f| f as usize == jl_fptr_args as *const () as usize);
            if thunk.specialised && (*ci).isspecsig != 0 {
                return Ok(Callee::Direct { specptr: self.slot(Slot::Specptr(node))? });
            }
            if !thunk.specialised && takes_args {
                return Ok(Callee::DirectArgs { fptr: self.slot(Slot::Specptr(node))? });
            }
            Ok(Callee::Invoke {
                invoke: self.slot(Slot::Invoke(node))?,
                code_instance: self.slot(Slot::Object(node))?,
            })
        }
    }
}

impl Addresses for Known<'_> {
    fn resolve(&mut self, function: &str, address: u64, usage: Use<'_>) -> Answer {
        // SAFETY: `build` holds the collector off and runs alone.
        match unsafe { self.find(address, usage) } {
            Some(Ok(index)) => Answer::Slot(SlotUse::new(index)),
            Some(Err(error)) => {
                self.blame(function, error.reason, error.detail);
                Answer::Unknown
            }
            None => {
                let (reason, what) = match usage {
                    Use::Function => (Reason::UnknownForeignCall, "a C function without a name"),
                    Use::Integer { .. } => (Reason::IntegerAddress, "an integer"),
                    Use::Value | Use::CString { .. } => (Reason::UnknownAddress, "a pointer"),
                };
                self.blame(function, reason, what.to_owned());
                Answer::Unknown
            }
        }
    }

    fn callee(&mut self, thunk: &Thunk<'_>) -> Callee {
        // SAFETY: as in `resolve`.
        match unsafe { self.find_callee(thunk) } {
            Ok(callee) => callee,
            Err(error) => {
                self.blame(thunk.function, error.reason, error.detail);
                Callee::Unknown
            }
        }
    }

    fn is_candidate(&self, value: u64) -> bool {
        let after = self.mappings.partition_point(|range| range.start <= value);
        mutation!(
            "addresses: plain integers are data",
            after > 0 && self.mappings[after - 1].contains(&value),
            false
        )
    }
}

/// The mapped ranges of this process, ascending.
fn mappings() -> Vec<Range<u64>> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut ranges: Vec<Range<u64>> = text
        .lines()
        .filter_map(|line| {
            let (start, rest) = line.split_once('-')?;
            let (end, _) = rest.split_once(' ')?;
            Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
        })
        .collect();
    if ranges.is_empty() {
        // Without /proc everything that can be a user-space address counts as one.
        ranges.push(1 << 32..1 << 47);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}
