//! Steps 2 and 3 of a build, emit and rewrite: in rounds, until nothing unknown is left.

use nativecache_mutation::mutation;
use std::collections::{BTreeMap, HashMap, HashSet};

use nativecache_codegen::llvm_sys::prelude::LLVMValueRef;
use nativecache_codegen::{value_name, Closure, NativeModule, Rewritten};
use nativecache_image::{CodeIndex, Function, Invoke, Reason, SlotId};
use nativecache_julia::c_symbols::JuliasOwn;
use nativecache_julia::compiler::{Entry, GeneratedCode, LlvmPointer};
use nativecache_julia::handles::{CodeInstance, MethodInstance};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::folded::computes_with_address;
use nativecache_runtime::objects::foreign::ForeignTargets;

use crate::error::BuildError;
use crate::known_addresses::KnownAddresses;
use crate::status::{self, wanted, Refusal, Status};
use crate::world::World;

/// One code instance of the emitted module.
pub(crate) struct EmittedCode<'j> {
    pub(crate) code: CodeInstance<'j>,
    /// How it is entered with Julia's calling convention.
    entry: Entry,
    specialised: Option<LLVMValueRef>,
    names: Vec<String>,
    slots: Vec<u32>,
}

/// An emitted module of which everything is known.
pub(crate) struct Emission<'j> {
    pub(crate) module: NativeModule,
    pub(crate) describer: Describer<'j>,
    pub(crate) rewritten: Rewritten,
    /// What can be installed, in the order of emission.
    pub(crate) codes: Vec<EmittedCode<'j>>,
}

/// An exclusion may make another method uncacheable (its caller then needs the method instance as an
/// object); each round takes out at least one code instance, so this is only a backstop.
const MAX_ROUNDS: usize = 20;

/// Emits the wanted methods and puts slots in the place of addresses. What holds an unknown address is taken out, with the
/// reason in its status, and called through `jl_invoke` by the others.
pub(crate) fn emit<'j>(world: &World<'j>, statuses: &mut [Status<'j>]) -> Result<Emission<'j>, BuildError> {
    use_inferred_code(world, statuses);
    use_sysimage_code(world);
    let provided = JuliasOwn::find().ok_or(BuildError::NoLibjulia)?;
    for _ in 0..MAX_ROUNDS {
        if let Some(emission) = emit_once(world, statuses, &provided)? {
            return Ok(emission);
        }
    }
    Err(BuildError::Endless(MAX_ROUNDS))
}

/// One round; `None` if something had to be taken out.
fn emit_once<'j>(
    world: &World<'j>,
    statuses: &mut [Status<'j>],
    provided: &JuliasOwn,
) -> Result<Option<Emission<'j>>, BuildError> {
    // SAFETY: in a build process nothing else runs; what is wanted was inferred.
    let generated = unsafe { GeneratedCode::of(world.julia, &wanted(statuses)) };
    let module = generated.module().ok_or(BuildError::NoModule)?;
    let mut codes = emitted(&generated, world);
    let mut foreign = ForeignTargets::default();
    let mut left_out = false;
    for code in &codes {
        if let Some(refusal) = refusal_of_source(world, code.code, &mut foreign) {
            code.leave_out(world, statuses, &refusal);
            left_out = true;
        }
    }
    if left_out {
        return Ok(None);
    }
    let mut known = KnownAddresses::new(world, foreign);
    // SAFETY: the code generator has just made it, on this thread, and nobody else knows it; Julia never frees it.
    let mut module = unsafe { NativeModule::from_raw(module.as_ptr().cast()) }?;
    let rewritten = module.rewrite(&mut known)?;
    if std::env::var_os("NATIVECACHE_TRACE").is_some() {
        trace(&rewritten);
    }
    let owners = owners_of(&codes);
    for code in &mut codes {
        let stop = |name: &str| owners.get(name).is_some_and(|owner| *owner != code.code);
        let mut closures = code.names.iter().map(|name| rewritten.closure_until(name, stop));
        if let Some(refusal) = closures.find_map(|closure| refusal_of_closure(&closure, &known, provided)) {
            code.leave_out(world, statuses, &refusal);
            left_out = true;
            continue;
        }
        let slots: HashSet<u32> = code.names.iter().flat_map(|name| rewritten.closure(name).slots).collect();
        code.slots = slots.into_iter().collect();
        code.slots.sort_unstable();
    }
    if left_out {
        return Ok(None);
    }
    let now = world.julia.world();
    codes.retain(|code| is_installable(code.code, now));
    Ok(Some(Emission { module, describer: known.describer, rewritten, codes }))
}

/// Why the code from which that of `code` is generated cannot be kept. Its C functions go into `foreign`.
fn refusal_of_source<'j>(
    world: &World<'j>,
    code: CodeInstance<'j>,
    foreign: &mut ForeignTargets,
) -> Option<Refusal> {
    let Some(source) = world.source(code) else {
        return Some(Refusal::new(Reason::NotInferred, "its inferred code is not known"));
    };
    foreign.add(world.julia, source);
    let computed = mutation!(
        "addresses: what is computed of one is data",
        computes_with_address(source),
        None::<String>
    );
    computed.map(|what| {
        let detail = format!("an address goes into {what}, which is computed at compile time");
        Refusal::new(Reason::IntegerAddress, detail)
    })
}

/// Why functions that belong together cannot be kept.
fn refusal_of_closure(
    closure: &Closure,
    known: &KnownAddresses<'_, '_>,
    provided: &JuliasOwn,
) -> Option<Refusal> {
    // `@cfunction`: C code may keep the pointer and call it in any world, on any thread.
    let called_back = closure.functions.iter().any(|f| f.starts_with("jlcapi_"));
    if mutation!("addresses: callbacks are kept", called_back, false) {
        return Some(Refusal::new(Reason::ForeignCallback, ""));
    }
    if let Some((function, unknown)) = closure.unknown.first() {
        let refusal = known.refusals.get(function).cloned();
        let Refusal { reason, detail } =
            refusal.unwrap_or_else(|| Refusal::new(Reason::UnknownAddress, unknown.reason.to_string()));
        let place = format!("{detail} ({} in {})", unknown.usage, unknown.instruction.trim());
        return Some(Refusal::new(reason, place));
    }
    // `llvmcall` may declare anything. What is missing where a library is loaded costs all of it, and what
    // only this process has loaded is missing there.
    let missing = closure.imports.iter().find(|name| !provided.has(name));
    let import = mutation!("symbols: what llvmcall declares is taken as it is", missing, None::<&String>)?;
    let detail = format!("nothing that each session has loaded defines {import}");
    Some(Refusal::new(Reason::UnknownForeignCall, detail))
}

/// Large functions that ran while their package was precompiled come with its `.ji` as code instances without inferred
/// code, and inference does not keep what it finds beside them (typeinfer.jl, `cache_result`). The generator would infer it
/// anew, and then nothing of the sysimage could be inlined any more: see [`use_sysimage_code`].
fn use_inferred_code<'j>(world: &World<'j>, statuses: &[Status<'j>]) {
    for code in wanted(statuses).into_iter().flat_map(|instance| instance.code_instances()) {
        let kept = !code.inferred().is_some_and(|code| code.is_nothing());
        if !mutation!("inlining: what a .ji has lost is inferred late", kept, true) {
            world.remember_inferred(code);
        }
    }
}

/// What is compiled in the sysimage is called there, as the JIT does, not compiled again: without inferred
/// code the generator makes a thunk, which becomes a direct call through a slot.
fn use_sysimage_code(world: &World<'_>) {
    for code in &world.code_instances {
        if world.has_sysimage_code(*code) && code.inferred().is_some() {
            world.forget_inferred(*code);
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

/// The code instances by the names of their functions.
fn owners_of<'j>(codes: &[EmittedCode<'j>]) -> HashMap<String, CodeInstance<'j>> {
    codes.iter().flat_map(|code| code.names.iter().map(|name| (name.clone(), code.code))).collect()
}

/// Later sessions can be given it: valid now and from now on, and of a method.
fn is_installable(code: CodeInstance<'_>, world: usize) -> bool {
    code.min_world() <= world && code.max_world() == usize::MAX && code.method_instance().method().is_some()
}

/// The code instances that `generated` holds code for, in the order of emission.
fn emitted<'j>(generated: &GeneratedCode, world: &World<'j>) -> Vec<EmittedCode<'j>> {
    let mut found = BTreeMap::new();
    for code in &world.code_instances {
        let Some(functions) = generated.functions(*code) else { continue };
        let wrapper = match functions.entry {
            Entry::Wrapper(function) => Some(value(function)),
            Entry::Args | Entry::Sparam => None,
        };
        let specialised = functions.specialised.map(value);
        let values = wrapper.into_iter().chain(specialised);
        // SAFETY: functions of a module that Julia never frees.
        let names: Vec<String> = values.filter_map(|value| unsafe { value_name(value) }).collect();
        let number = names.iter().filter_map(|n| emission_number(n)).min().unwrap_or(u64::MAX);
        let slots = Vec::new();
        let emitted =
            EmittedCode { code: *code, entry: functions.entry, specialised, names: names.clone(), slots };
        found.insert((number, names), emitted);
    }
    found.into_values().collect()
}

fn value(function: LlvmPointer) -> LLVMValueRef {
    function.as_ptr().cast()
}

/// `globalUnique` of codegen.cpp, which ends every function's name: it counts in the order of emission.
fn emission_number(name: &str) -> Option<u64> {
    name.rsplit_once('_')?.1.parse().ok()
}

/// The LLVM functions of one code instance: its entries and the helpers that only make sense with them.
pub(crate) struct Group<'j> {
    pub(crate) method_instance: MethodInstance<'j>,
    pub(crate) functions: Vec<String>,
}

impl<'j> Emission<'j> {
    /// What can be optimised by itself, code instance by code instance.
    pub(crate) fn groups(&self) -> Vec<Group<'j>> {
        let owners = owners_of(&self.codes);
        let group = |code: &EmittedCode<'j>| {
            let stop = |name: &str| owners.get(name).is_some_and(|owner| *owner != code.code);
            let reached = |name: &String| self.rewritten.closure_until(name, stop).functions;
            Group {
                method_instance: code.code.method_instance(),
                functions: code.names.iter().flat_map(reached).collect(),
            }
        };
        self.codes.iter().map(group).collect()
    }
}

impl<'j> EmittedCode<'j> {
    /// The names of its LLVM functions.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The record of this code instance in the image.
    pub(crate) fn describe(
        &self,
        world: &World<'j>,
        describer: &mut Describer<'j>,
        code_index: &mut dyn FnMut(LLVMValueRef) -> CodeIndex,
    ) -> Result<Function, Undescribable> {
        let code = self.code;
        let method_instance = describer.node(code.method_instance().into())?;
        let rettype = describer.node(code.returns())?;
        let rettype_const = code.constant().map(|constant| describer.node(constant)).transpose()?;
        let inferred = world.describe_inlineable(code, describer)?;
        let spec = self.specialised.map(&mut *code_index);
        let invoke = match self.entry {
            Entry::Wrapper(function) => Invoke::Wrapper(code_index(value(function))),
            Entry::Sparam => Invoke::Sparam,
            Entry::Args => Invoke::Args,
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

    /// Records why its method instance is not compiled, if it was asked for.
    pub(crate) fn skip(&self, statuses: &mut [Status<'j>], refusal: &Refusal) {
        status::skip(statuses, self.code.method_instance(), refusal);
    }

    /// Records why its method instance is not compiled, and has the code generator not make this code again.
    fn leave_out(&self, world: &World<'j>, statuses: &mut [Status<'j>], refusal: &Refusal) {
        self.skip(statuses, refusal);
        world.forget_inferred(self.code);
    }
}
