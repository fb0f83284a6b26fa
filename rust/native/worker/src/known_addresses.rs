//! What the addresses in generated code are: the map of known addresses, behind codegen's questions.
//!
//! An address is known when a binding, an object that the runtime vouches for, a C function that the
//! code itself names, an exported symbol, or the declared type of a C function's parameter says what
//! it is. Anything else is unknown, and the method that holds it is not cached.

use nativecache_mutation::mutation;
use std::collections::HashMap;
use std::ffi::CStr;
use std::ops::Range;

use nativecache_codegen::{Addresses, Answer, Callee, Thunk, ThunkLiteral, Use};
use nativecache_image::{NodeId, Reason, Slot};
use nativecache_julia::handles::{CodeInstance, Invoke, Module, Object};
use nativecache_julia::object_addresses::Objects;
use nativecache_julia::object_paths::Paths;
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::foreign::{exported_symbol, ForeignTargets};

use crate::status::Refusal;
use crate::world::World;

/// Answers codegen's questions and gathers slots.
pub(crate) struct KnownAddresses<'w, 'j> {
    world: &'w World<'j>,
    pub(crate) describer: Describer<'j>,
    objects: Objects,
    foreign: ForeignTargets,
    /// All that are alive, by where they lie.
    code_instances: HashMap<usize, CodeInstance<'j>>,
    mappings: Vec<Range<u64>>,
    /// Why a function's address is unknown: first reason by function name.
    pub(crate) refusals: HashMap<String, Refusal>,
}

impl<'w, 'j> KnownAddresses<'w, 'j> {
    /// `foreign` are the C functions and variables that the code names.
    pub(crate) fn new(world: &'w World<'j>, foreign: ForeignTargets) -> Self {
        let World { julia, sysimage, modules, methods, .. } = world;
        let everywhere: Vec<Module<'j>> =
            world.roots.iter().copied().filter(|root| sysimage.data.contains(&root.address())).collect();
        KnownAddresses {
            world,
            describer: Describer::new(julia, Paths::collect(julia, modules, methods), everywhere, sysimage),
            // SAFETY: `nativecache_worker_start` has called it.
            objects: unsafe { Objects::collect(julia, sysimage.clone(), modules) },
            foreign,
            code_instances: world.code_instances.iter().map(|code| (code.address(), *code)).collect(),
            mappings: mappings(),
            refusals: HashMap::new(),
        }
    }

    fn blame(&mut self, function: &str, refusal: Refusal) {
        self.refusals.entry(function.to_owned()).or_insert(refusal);
    }

    fn slot(&mut self, slot: Slot) -> Result<u32, Undescribable> {
        Ok(self.describer.image.slot(slot)?.0)
    }

    fn object(&mut self, object: Object<'j>) -> Result<u32, Undescribable> {
        let node = self.describer.node(object)?;
        self.slot(Slot::Object(node))
    }

    /// The object at an address that code generation used as one; `None` if nothing vouches for it.
    fn object_at(&self, at: usize) -> Option<Object<'j>> {
        if self.describer.paths().knows(at) {
            // SAFETY: a path leads to an object there.
            return Some(unsafe { Object::at(at) });
        }
        self.objects.object_at(self.world.julia, at)
    }

    /// The slot of what a value is: a binding, an object, or a C variable, through `unsafe_load(cglobal(…))`.
    fn value(&mut self, at: usize) -> Option<Result<u32, Undescribable>> {
        if let Some((module, name, offset)) = self.describer.paths().binding_around(at) {
            let module = self.describer.node(module.into());
            return Some(
                module.and_then(|module| self.slot(Slot::Binding { module, name: name.to_owned(), offset })),
            );
        }
        if let Some(object) = self.object_at(at) {
            return Some(self.object(object));
        }
        let (library, name) = self.foreign.get(at).cloned().or_else(|| exported_symbol(at))?;
        Some(self.slot(Slot::CSymbol { library, name }))
    }

    fn find(&mut self, address: u64, usage: Use<'_>) -> Option<Result<u32, Undescribable>> {
        let at = usize::try_from(address).ok()?;
        match usage {
            Use::Function => {
                let (library, name) = self.foreign.get(at).cloned().or_else(|| exported_symbol(at))?;
                Some(self.slot(Slot::CSymbol { library, name }))
            }
            Use::CString { .. } => {
                // SAFETY: code generation passes it to a C function that reads a text there.
                let text = unsafe { CStr::from_ptr(at as *const _) }.to_bytes().to_vec();
                Some(self.slot(Slot::CString(text)))
            }
            Use::Value => self.value(at),
            // `cglobal` is the one source of plain integers whose meaning the code itself says.
            Use::Integer { .. } => {
                let (library, name) = self.foreign.get(at).cloned()?;
                Some(self.slot(Slot::CSymbol { library, name }))
            }
        }
    }

    fn find_callee(&mut self, thunk: &Thunk<'_>) -> Result<Callee, Undescribable> {
        let at = thunk.literal as usize;
        if thunk.kind == ThunkLiteral::MethodInstance {
            // SAFETY: code generation put a method instance there, and none is freed while the collector is off.
            let instance = unsafe { Object::at(at) };
            return Ok(Callee::Generic { method_instance: self.object(instance)? });
        }
        let Some(code) = self.code_instances.get(&at).copied() else { return Ok(Callee::Unknown) };
        let native = self.world.has_sysimage_code(code);
        let node: Option<NodeId> = if native { self.describer.node(code.into()).ok() } else { None };
        let Some(node) = node else {
            // Compiled in this process only, or not what a later session finds: ask at run time.
            return Ok(Callee::Generic { method_instance: self.object(code.method_instance().into())? });
        };
        if thunk.specialised && code.is_specialised() {
            return Ok(Callee::Direct { specptr: self.slot(Slot::Specptr(node))? });
        }
        if !thunk.specialised && code.invoke() == Some(Invoke::Args) {
            return Ok(Callee::DirectArgs { fptr: self.slot(Slot::Specptr(node))? });
        }
        Ok(Callee::Invoke {
            invoke: self.slot(Slot::Invoke(node))?,
            code_instance: self.slot(Slot::Object(node))?,
        })
    }
}

impl Addresses for KnownAddresses<'_, '_> {
    fn resolve(&mut self, function: &str, address: u64, usage: Use<'_>) -> Answer {
        let refusal = match self.find(address, usage) {
            Some(Ok(index)) => return Answer::Slot(index),
            Some(Err(error)) => error.into(),
            None => match usage {
                Use::Function => Refusal::new(Reason::UnknownForeignCall, "a C function without a name"),
                Use::Integer { .. } => Refusal::new(Reason::IntegerAddress, "an integer"),
                Use::Value | Use::CString { .. } => Refusal::new(Reason::UnknownAddress, "a pointer"),
            },
        };
        self.blame(function, refusal);
        Answer::Unknown
    }

    fn callee(&mut self, thunk: &Thunk<'_>) -> Callee {
        self.find_callee(thunk).unwrap_or_else(|error| {
            self.blame(thunk.function, error.into());
            Callee::Unknown
        })
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
