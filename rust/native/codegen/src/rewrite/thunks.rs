//! Calls of functions that are not in the module.
//!
//! For a callee whose code it does not emit, Julia's code generator makes a thunk `tojlinvoke<N>(F, args, nargs)`. If
//! the callee has native code in this process, the thunk calls it by a made-up name, with the code instance as a
//! literal; otherwise it calls `jl_invoke`. A caller with a specialised signature calls a prototype `j_<name>_<N>`
//! instead, whose body boxes the arguments, calls the thunk and unboxes what it returns.

use std::collections::HashMap;

use super::addresses::{Addresses, Callee, Thunk, ThunkLiteral};
use super::findings::UnknownAddress;
use super::literals::cast_literal;
use super::slots::{as_type, Slots};
use crate::error::CodegenError;
use crate::julia_1_5 as julia;
use crate::llvm::{
    call_like, declare_like, replace, using_instructions, Builder, Call, Function, Module, Value,
};

/// The parts of a thunk's body.
struct Shape<'m> {
    call: Call<'m>,
    target: Function<'m>,
    literal: u64,
}

/// The one call in a thunk, if it has the form that `emit_tojlinvoke` gives it.
fn shape(thunk: Function<'_>) -> Option<Shape<'_>> {
    let mut calls = thunk.instructions().filter_map(|instruction| instruction.as_call());
    let call = calls.next()?;
    let target = call.called_function()?;
    if calls.next().is_some() || call.argument_count() != 4 || !target.is_declaration() {
        return None;
    }
    Some(Shape { call, target, literal: cast_literal(call.operand(3)?)? })
}

/// The prototypes that call this thunk. `None` if anything else uses it.
fn prototypes(thunk: Function<'_>) -> Option<Vec<Function<'_>>> {
    let mut functions = Vec::new();
    for instruction in using_instructions(**thunk) {
        let function = instruction.parent_function()?;
        let is_call = instruction.as_call().is_some();
        if !is_call || !julia::is_prototype(&function.name()) || functions.contains(&function) {
            return None;
        }
        functions.push(function);
    }
    (!functions.is_empty()).then_some(functions)
}

/// What became of the thunks.
#[derive(Default)]
pub(super) struct Thunks<'m> {
    /// Thunks whose uses must all become the content of a slot.
    pub(super) slots: HashMap<Function<'m>, u32>,
    /// Functions that are rewritten already, with the slots that they use.
    pub(super) done: HashMap<Function<'m>, Vec<u32>>,
    /// Thunks that nobody could resolve.
    pub(super) unknown: HashMap<Function<'m>, UnknownAddress>,
}

/// Rewrites all thunks of a module.
pub(super) struct ThunkRewriter<'m, 'a> {
    pub(super) module: &'m Module,
    pub(super) builder: &'a Builder<'m>,
    pub(super) slots: &'a mut Slots<'m>,
    pub(super) addresses: &'a mut dyn Addresses,
}

impl<'m> ThunkRewriter<'m, '_> {
    /// Rewrites the thunks in the order of emission.
    pub(super) fn run(mut self) -> Result<Thunks<'m>, CodegenError> {
        // Listed before the first is rewritten, which deletes prototypes.
        let mut functions = self.module.defined_functions();
        functions.retain(|function| julia::is_thunk(&function.name()));
        let mut thunks = Thunks::default();
        for thunk in functions {
            self.rewrite(thunk, &mut thunks)?;
        }
        Ok(thunks)
    }

    /// Asks how the callee of a thunk is to be called, and rewrites the thunk or its prototypes.
    fn rewrite(&mut self, thunk: Function<'m>, thunks: &mut Thunks<'m>) -> Result<(), CodegenError> {
        let Some(shape) = shape(thunk) else {
            let reason = "a thunk of a form that is not known";
            thunks.unknown.insert(thunk, unknown(0, "", reason));
            thunks.done.insert(thunk, Vec::new());
            return Ok(());
        };
        let target = shape.target.name();
        let prototypes = prototypes(thunk);
        let kind =
            if target == julia::INVOKE { ThunkLiteral::MethodInstance } else { ThunkLiteral::CodeInstance };
        let answer = self.addresses.callee(&Thunk {
            function: &thunk.name(),
            target: &target,
            literal: shape.literal,
            kind,
            specialised: prototypes.is_some(),
        });
        match (answer, prototypes) {
            (Callee::Invoke { invoke, code_instance }, _) => {
                self.builder.before(*shape.call);
                let pointer = self.slots.load(self.builder, invoke)?;
                let callee = as_type(self.builder, pointer, shape.target.ty())?;
                self.redirect(&shape, callee, code_instance)?;
                thunks.done.insert(thunk, vec![invoke, code_instance]);
            }
            (Callee::Generic { method_instance }, _) => {
                let callee = self.jl_invoke(&shape)?;
                self.redirect(&shape, callee, method_instance)?;
                thunks.done.insert(thunk, vec![method_instance]);
            }
            (Callee::Direct { specptr }, Some(prototypes)) => {
                for prototype in prototypes {
                    let new = self.forward(prototype, specptr)?;
                    // SAFETY: `prototype` comes from `prototypes` above, which is used up here.
                    unsafe { replace(new, prototype) };
                    thunks.done.insert(new, vec![specptr]);
                }
                // The constants that the old prototypes used still exist, and LLVM may find them again.
                thunk.replace_all_uses_with(thunk.ty().undef()?);
                // SAFETY: nothing uses it any longer, and neither this function nor its caller looks at it again.
                unsafe { thunk.delete() };
            }
            (Callee::DirectArgs { fptr }, None) => {
                thunks.slots.insert(thunk, fptr);
                thunks.done.insert(thunk, Vec::new());
            }
            (answer, _) => {
                let reason = match answer {
                    Callee::Direct { .. } => "a specialised callee, but not every caller is specialised",
                    Callee::DirectArgs { .. } => {
                        "a callee with boxed arguments, but the callers are specialised"
                    }
                    _ => "a callee that cannot be named in another process",
                };
                thunks.unknown.insert(thunk, unknown(shape.literal, &target, reason));
                thunks.done.insert(thunk, Vec::new());
            }
        }
        Ok(())
    }

    /// Casts `jl_invoke` to the type of the function that the thunk calls. Places the builder before the call.
    fn jl_invoke(&self, shape: &Shape<'m>) -> Result<Value<'m>, CodegenError> {
        let invoke = match self.module.function(julia::INVOKE) {
            Some(known) => known,
            None => self.module.add_function(shape.target.value_type(), julia::INVOKE)?,
        };
        self.builder.before(*shape.call);
        if invoke.ty() == shape.target.ty() {
            Ok(**invoke)
        } else {
            self.builder.pointer_cast(**invoke, shape.target.ty())
        }
    }

    /// Makes the thunk call `callee`, with the object of slot `object` as the fourth argument. The builder stands
    /// before the call.
    fn redirect(&mut self, shape: &Shape<'m>, callee: Value<'m>, object: u32) -> Result<(), CodegenError> {
        let content = self.slots.load(self.builder, object)?;
        if let Some(literal) = shape.call.operand(3) {
            let argument = as_type(self.builder, content, literal.ty())?;
            shape.call.set_operand(3, argument);
        }
        // The callee is the last operand of a call.
        shape.call.set_operand(shape.call.operand_count().saturating_sub(1), callee);
        shape.call.set_tail_call();
        Ok(())
    }

    /// A function like `prototype` that passes everything on to the function in slot `specptr`.
    ///
    /// The signature of a specialised function follows from its method instance and return type alone, so prototype and
    /// callee have the same one. Hidden parameters (place of the result, roots) are passed on as they are.
    fn forward(&mut self, prototype: Function<'m>, specptr: u32) -> Result<Function<'m>, CodegenError> {
        let new = declare_like(self.module, prototype)?;
        let block = self.module.append_block(new)?;
        self.builder.at_end(block);
        let content = self.slots.load(self.builder, specptr)?;
        let callee = as_type(self.builder, content, prototype.ty())?;
        let call = self.builder.call(prototype.value_type(), callee, &new.params())?;
        call_like(call, prototype);
        call.set_tail_call();
        self.builder.ret(**call)?;
        // So the caller calls the slot directly, as it would with the just-in-time compiler.
        new.add_attribute("alwaysinline");
        Ok(new)
    }
}

/// Describes a thunk whose callee nobody could name.
fn unknown(literal: u64, target: &str, reason: &'static str) -> UnknownAddress {
    UnknownAddress {
        address: literal,
        usage: "callee".to_owned(),
        instruction: format!("call of {target}"),
        reason,
    }
}
