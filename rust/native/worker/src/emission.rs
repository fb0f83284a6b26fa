//! Emission until nothing unknown is left.

use nativecache_mutation::mutation;
use std::collections::{BTreeMap, HashMap, HashSet};

use jl_sys::{jl_code_instance_t, jl_method_instance_t};
use nativecache_codegen::llvm_sys::prelude::LLVMValueRef;
use nativecache_codegen::{value_name, NativeModule, Rewritten};
use nativecache_image::{CodeIndex, Function, Invoke, Reason, SlotId};
use nativecache_julia::handles::{CodeInfo, Object};
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{jl_get_world_counter, write_barrier};
use nativecache_julia::object::is;
use nativecache_julia::stopped::Stopped;
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::folded::computes_with_address;
use nativecache_runtime::objects::foreign::JuliasOwn;

use crate::build::{describer, Status, World};
use crate::error::BuildError;
use crate::known::Known;
use crate::native::Native;

/// One code instance of the emitted module.
pub struct EmittedCode {
    pub ci: *mut jl_code_instance_t,
    /// Its entry with Julia's calling convention, or -1 (`jl_fptr_args`) or -2 (`jl_fptr_sparam`).
    wrapper: Result<LLVMValueRef, i32>,
    spec: Option<LLVMValueRef>,
    names: Vec<String>,
    slots: Vec<u32>,
}

/// An emitted module of which everything is known.
pub struct Emission<'j> {
    pub module: NativeModule,
    pub describer: Describer<'j>,
    pub rewritten: Rewritten,
    /// What can be installed, in the order of emission.
    pub code_instances: Vec<EmittedCode>,
}

/// An exclusion may make another method uncacheable (its caller then needs the method instance as an
/// object); each round takes out at least one code instance, so this is only a backstop.
const MAX_ROUNDS: usize = 20;

/// Emits the wanted methods. What holds an unknown address is taken out, with the reason in its status,
/// and called through `jl_invoke` by the others.
///
/// # Safety
/// The collector is off, nothing else runs, `world` is what is alive.
pub unsafe fn emit<'j>(
    julia: &'j Stopped,
    world: &World,
    statuses: &mut [Status],
) -> Result<Emission<'j>, BuildError> {
    // SAFETY: as the caller says.
    unsafe {
        use_inferred_code(world, statuses);
        use_sysimage_code(world);
    }
    let provided = JuliasOwn::find().ok_or(BuildError::NoLibjulia)?;
    for _ in 0..MAX_ROUNDS {
        let wanted: Vec<*mut jl_method_instance_t> = statuses
            .iter()
            .filter_map(|s| if let Status::Wanted(mi) = s { Some(*mi) } else { None })
            .collect();
        // SAFETY: as the caller says.
        unsafe {
            let native = Native::create(&wanted);
            let module = native.module();
            if module.is_null() {
                return Err(BuildError::NoModule);
            }
            let mut codes = emitted(&native, world);
            let (describer, objects, mut foreign) = describer(julia, world);
            let mut uncacheable = false;
            for code in &codes {
                let source = world
                    .source(code.ci)
                    .and_then(|source| Object::from_ptr(source)?.as_kind::<CodeInfo<'_>>());
                let refusal = match source {
                    None => Some((Reason::NotInferred, "its inferred code is not known".to_owned())),
                    Some(source) => {
                        foreign.add(julia, source);
                        let computed = mutation!(
                            "addresses: what is computed of one is data",
                            computes_with_address(source),
                            None::<String>
                        );
                        computed.map(|what| {
                            let detail =
                                format!("an address goes into {what}, which is computed at compile time");
                            (Reason::IntegerAddress, detail)
                        })
                    }
                };
                if let Some((reason, detail)) = refusal {
                    code.reject(statuses, reason, &detail);
                    (*code.ci).inferred = jl_sys::jl_nothing;
                    uncacheable = true;
                }
            }
            if uncacheable {
                continue;
            }
            let known_cis = world.code_instances.iter().map(|ci| *ci as usize).collect();
            let mut known = Known::new(describer, objects, foreign, known_cis);
            let mut module = NativeModule::from_raw(module)?;
            let rewritten = module.rewrite(&mut known)?;
            if std::env::var_os("NATIVECACHE_TRACE").is_some() {
                trace(&rewritten);
            }
            let own = names_of(&codes);
            for code in &mut codes {
                let stop = |name: &str| own.get(name).is_some_and(|ci| *ci != code.ci);
                let mut slots: HashSet<u32> = HashSet::new();
                for name in &code.names {
                    let closure = rewritten.closure_until(name, stop);
                    // `@cfunction`: C code may keep the pointer and call it in any world, on any thread.
                    let called_back = closure.functions.iter().any(|f| f.starts_with("jlcapi_"));
                    if mutation!("addresses: callbacks are kept", called_back, false) {
                        code.reject(statuses, Reason::ForeignCallback, "");
                        (*code.ci).inferred = jl_sys::jl_nothing;
                        uncacheable = true;
                        break;
                    }
                    if let Some((function, unknown)) = closure.unknown.first() {
                        let (reason, detail) = known
                            .reasons
                            .get(function)
                            .cloned()
                            .unwrap_or_else(|| (Reason::UnknownAddress, unknown.reason.to_string()));
                        let place = format!("{detail} ({} in {})", unknown.usage, unknown.instruction.trim());
                        code.reject(statuses, reason, &place);
                        (*code.ci).inferred = jl_sys::jl_nothing;
                        uncacheable = true;
                        break;
                    }
                    // `llvmcall` may declare anything. What is missing where a library is loaded costs all of it, and what
                    // only this process has loaded is missing there.
                    let missing = closure.imports.iter().find(|name| !provided.has(name));
                    if let Some(import) = mutation!(
                        "symbols: what llvmcall declares is taken as it is",
                        missing,
                        None::<&String>
                    ) {
                        let detail = format!("nothing that each session has loaded defines {import}");
                        code.reject(statuses, Reason::UnknownForeignCall, &detail);
                        (*code.ci).inferred = jl_sys::jl_nothing;
                        uncacheable = true;
                        break;
                    }
                    slots.extend(rewritten.closure(name).slots);
                }
                code.slots = slots.into_iter().collect();
                code.slots.sort_unstable();
            }
            if uncacheable {
                continue;
            }
            let now = jl_get_world_counter();
            codes.retain(|code| installable(code.ci, now));
            return Ok(Emission { module, describer: known.describer, rewritten, code_instances: codes });
        }
    }
    Err(BuildError::Endless(MAX_ROUNDS))
}

/// Large functions that ran while their package was precompiled come with its `.ji` as code instances without inferred
/// code, and inference does not keep what it finds beside them (typeinfer.jl, `cache_result`). The generator would infer it anew, and then nothing of the sysimage could be inlined
/// any more: see [`use_sysimage_code`].
unsafe fn use_inferred_code(world: &World, statuses: &[Status]) {
    for status in statuses {
        let Status::Wanted(mi) = status else { continue };
        // SAFETY: live, and the collector is off.
        unsafe {
            for ci in inspect::code_instances(*mi) {
                let kept = (*ci).inferred != jl_sys::jl_nothing;
                if mutation!("inlining: what a .ji has lost is inferred late", kept, true) {
                    continue;
                }
                if let Some(source) = world.kept_source(ci) {
                    (*ci).inferred = source;
                    write_barrier(ci.cast());
                }
            }
        }
    }
}

/// What is compiled in the sysimage is called there, as the JIT does, not compiled again: without inferred
/// code the generator makes a thunk, which becomes a direct call through a slot.
unsafe fn use_sysimage_code(world: &World) {
    // SAFETY: code instances are live; only this process forgets their inferred code.
    unsafe {
        for ci in &world.code_instances {
            let native = world.sysimage.data.contains(&(*ci as usize))
                && world.sysimage.span.contains(&((**ci).specptr.fptr as usize));
            if native && !(**ci).inferred.is_null() {
                (**ci).inferred = jl_sys::jl_nothing;
            }
        }
    }
}

fn trace(rewritten: &Rewritten) {
    for function in rewritten.functions() {
        for unknown in &function.unknown {
            eprintln!(
                "unknown: {} {:#x} {} {}",
                function.name, unknown.address, unknown.usage, unknown.instruction
            );
        }
    }
}

fn names_of(codes: &[EmittedCode]) -> HashMap<String, *mut jl_code_instance_t> {
    codes.iter().flat_map(|c| c.names.iter().map(|n| (n.clone(), c.ci))).collect()
}

/// Later sessions can be given it: valid now, of a method, not compiled in the sysimage already.
unsafe fn installable(ci: *mut jl_code_instance_t, world: usize) -> bool {
    // SAFETY: `ci` is live.
    unsafe {
        (*ci).min_world <= world
            && (*ci).max_world == usize::MAX
            && is((*(*ci).def).def.value, jl_sys::jl_method_type)
    }
}

/// The code instances that `native` holds code for, in the order of emission.
unsafe fn emitted(native: &Native, world: &World) -> Vec<EmittedCode> {
    let mut found = BTreeMap::new();
    // SAFETY: code instances are live; ids are positive where functions are asked for.
    unsafe {
        for ci in &world.code_instances {
            let Some(ids) = native.ids(*ci) else { continue };
            let wrapper =
                if ids.function > 0 { Ok(native.function(ids.function)) } else { Err(ids.function) };
            let spec = (ids.specialised > 0).then(|| native.function(ids.specialised));
            let names: Vec<String> =
                wrapper.iter().chain(spec.iter()).filter_map(|value| value_name(*value)).collect();
            let number = names.iter().filter_map(|n| emission_number(n)).min().unwrap_or(u64::MAX);
            let code = EmittedCode { ci: *ci, wrapper, spec, names: names.clone(), slots: Vec::new() };
            found.insert((number, names), code);
        }
    }
    found.into_values().collect()
}

/// `globalUnique` of codegen.cpp, which ends every function's name: it counts in the order of emission.
fn emission_number(name: &str) -> Option<u64> {
    name.rsplit_once('_')?.1.parse().ok()
}

/// The LLVM functions of one code instance: its entries and the helpers that only make sense with them.
pub struct Group {
    pub method_instance: *mut jl_method_instance_t,
    pub functions: Vec<String>,
}

impl Emission<'_> {
    /// What can be optimised by itself, code instance by code instance.
    pub fn groups(&self) -> Vec<Group> {
        let own = names_of(&self.code_instances);
        let group = |code: &EmittedCode| {
            let stop = |name: &str| own.get(name).is_some_and(|ci| *ci != code.ci);
            let reached = |name: &String| self.rewritten.closure_until(name, stop).functions;
            // SAFETY: the code instance is live while the collector is off.
            let method_instance = unsafe { (*code.ci).def };
            Group { method_instance, functions: code.names.iter().flat_map(reached).collect() }
        };
        self.code_instances.iter().map(group).collect()
    }
}

impl EmittedCode {
    /// The names of its LLVM functions.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The record of this code instance in the image.
    ///
    /// # Safety
    /// As [`emit`].
    pub unsafe fn describe(
        &self,
        world: &World,
        describer: &mut Describer,
        code_index: &mut dyn FnMut(LLVMValueRef) -> CodeIndex,
    ) -> Result<Function, Undescribable> {
        // SAFETY: as the caller says.
        unsafe {
            let ci = self.ci;
            let method_instance = describer.describe((*ci).def.cast())?;
            let rettype = describer.describe((*ci).rettype)?;
            let rettype_const = (*ci).rettype_const;
            let rettype_const =
                if rettype_const.is_null() { None } else { Some(describer.describe(rettype_const)?) };
            let inferred = world.inlineable(ci).map(|data| describer.inferred_code(ci, data)).transpose()?;
            let spec = self.spec.map(&mut *code_index);
            let invoke = match self.wrapper {
                Ok(value) => Invoke::Wrapper(code_index(value)),
                Err(-2) => Invoke::Sparam,
                Err(_) => Invoke::Args,
            };
            Ok(Function {
                method_instance,
                rettype,
                rettype_const,
                inferred,
                invoke,
                spec,
                inlineable: inferred.is_some(),
                generated: false,
                slots: self.slots.iter().map(|s| SlotId(*s)).collect(),
                depends: Vec::new(),
                edges: Vec::new(),
            })
        }
    }

    /// Records why its method instance is not compiled, if it was asked for.
    pub fn reject(&self, statuses: &mut [Status], reason: Reason, detail: &str) {
        // SAFETY: live while the collector is off.
        let mi = unsafe { (*self.ci).def };
        for status in statuses {
            if matches!(status, Status::Wanted(wanted) if *wanted == mi) {
                *status = Status::Skipped(reason, detail.to_owned());
            }
        }
    }
}
