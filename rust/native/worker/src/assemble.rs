//! Steps 4 and 5 of a build: from an emitted module to the tables of a library.

use std::collections::HashMap;

use nativecache_codegen::{ExportedFunction, NativeModule, StableNames};
use nativecache_image::{CodeIndex, Digests, Function, FunctionId, Image, Invoke, NodeId, SlotId};
use nativecache_julia::handles::{CodeInstance, MethodInstance};
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::load::key;
use nativecache_runtime::objects::describe::Describer;
use nativecache_store::Hex;

use crate::edges::{without_code, Finished, Functions};
use crate::emission::Emission;
use crate::error::BuildError;
use crate::request::Request;
use crate::status::{entry, outcome_line, Refusal, Status};
use crate::world::World;

/// The tables of a library, written.
pub(crate) struct Tables {
    pub(crate) bytes: Vec<u8>,
    pub(crate) slots: u32,
    pub(crate) functions: u32,
    pub(crate) nodes: u32,
    /// Results of inference that could not be described.
    pub(crate) not_kept: u32,
    /// The functions that the tables name by number.
    pub(crate) exported: Vec<ExportedFunction>,
    /// LLVM functions by name, with the node of the method instance that they are the code of.
    named: Vec<(String, NodeId)>,
    /// What became of each requested method, as lines for build.jl.
    pub(crate) outcomes: String,
}

/// What is described, but for its edges.
struct Described<'j> {
    module: NativeModule,
    describer: Describer<'j>,
    functions: Functions<'j>,
    exported: Vec<ExportedFunction>,
    named: Vec<(String, NodeId)>,
}

/// Describes what was emitted and what it depends on, and writes the tables. What cannot be described is left out, with the
/// reason in its status.
pub(crate) fn assemble<'j>(
    emission: Emission<'j>,
    world: &World<'j>,
    statuses: &mut [Status<'j>],
    request: &Request,
) -> Result<(NativeModule, Tables), BuildError> {
    let mut described = describe(emission, world, statuses);
    let finished =
        std::mem::take(&mut described.functions).finish(world, &mut described.describer, statuses)?;
    described.write(&finished, statuses, request)
}

/// Describes the functions: those with code, and those with a constant result.
fn describe<'j>(emission: Emission<'j>, world: &World<'j>, statuses: &mut [Status<'j>]) -> Described<'j> {
    let Emission { module, mut describer, rewritten: _, codes } = emission;
    let (mut functions, mut exported, mut named) = (Functions::default(), Vec::new(), Vec::new());
    for code in &codes {
        let mut code_index = |value| {
            exported.push(ExportedFunction { value });
            CodeIndex(u32::try_from(exported.len() - 1).unwrap_or(u32::MAX))
        };
        match code.describe(world, &mut describer, &mut code_index) {
            Ok(function) => {
                named.extend(code.names().iter().map(|name| (name.clone(), function.method_instance)));
                functions.add(code.code.method_instance(), function);
            }
            Err(error) => code.skip(statuses, &error.into()),
        }
    }
    for status in statuses.iter_mut() {
        let Status::Constant(code) = *status else { continue };
        *status = match constant_function(code, &mut describer) {
            Ok(function) => {
                functions.add(code.method_instance(), function);
                Status::Wanted(code.method_instance())
            }
            Err(error) => Status::Skipped(Refusal::from(error)),
        };
    }
    describer.image.set_code_count(u32::try_from(exported.len()).unwrap_or(u32::MAX));
    Described { module, describer, functions, exported, named }
}

/// The record of a code instance whose result is a constant.
fn constant_function<'j>(
    code: CodeInstance<'j>,
    describer: &mut Describer<'j>,
) -> Result<Function, Undescribable> {
    let instance = describer.node(code.method_instance().into())?;
    let rettype = describer.node(code.returns())?;
    let constant = code.constant().map(|constant| describer.node(constant)).transpose()?;
    Ok(without_code(instance, rettype, constant, Invoke::ConstReturn))
}

impl<'j> Described<'j> {
    /// Adds for whom the library is and what became of each statement, and writes all.
    fn write(
        self,
        finished: &Finished<'j>,
        statuses: &[Status<'j>],
        request: &Request,
    ) -> Result<(NativeModule, Tables), BuildError> {
        let Described { module, mut describer, functions: _, exported, named } = self;
        let ids: &HashMap<MethodInstance<'j>, FunctionId> = &finished.ids;
        for (name, value) in key::of_process() {
            describer.image.key(name, value)?;
        }
        for (hash, names) in &request.module_sets {
            describer.image.module_set(*hash, names);
        }
        let mut outcomes = String::new();
        for (statement, status) in request.statements.iter().zip(statuses) {
            let entry = entry(statement, status, ids, &mut describer);
            outcomes.push_str(&outcome_line(&entry));
            describer.image.entry(entry)?;
        }
        let image = describer.image;
        let tables = Tables {
            not_kept: finished.not_kept,
            exported,
            named,
            slots: image.slot_count(),
            functions: image.function_count(),
            nodes: image.node_count(),
            bytes: image.finish()?,
            outcomes,
        };
        Ok((module, tables))
    }
}

impl Tables {
    /// What the slots and functions are, in words that no number of this build is in.
    pub(crate) fn stable_names(&self) -> Result<StableNames, BuildError> {
        let digests = Digests::of_any_build(Image::parse(&self.bytes)?)?;
        let slots = (0..self.slots)
            .map(|slot| digests.slot(SlotId(slot)).map(|digest| Hex(&digest).to_string()))
            .collect::<Result<_, _>>()?;
        let text = |instance: NodeId| Hex(&digests.node(instance)).to_string();
        let functions = self.named.iter().map(|(name, instance)| (name.clone(), text(*instance))).collect();
        Ok(StableNames { slots, functions })
    }
}
