//! Calls of functions that are not in the module.
//!
//! For a callee whose code it does not emit, Julia's code generator makes a thunk `tojlinvoke<N>(F, args,
//! nargs)`. If the callee has native code in this process, the thunk calls it by a name that is made up on
//! the spot, with the code instance as a literal; otherwise it calls `jl_invoke`. A caller with a specialised
//! signature calls a prototype `j_<name>_<N>` instead, whose body boxes the arguments, calls the thunk and
//! unboxes what it returns.

use std::collections::HashMap;

use inkwell::llvm_sys::LLVMOpcode;

use crate::addresses::{Addresses, Callee, SlotUse, Thunk, ThunkLiteral};
use crate::builder::Builder;
use crate::emitted::UnknownAddress;
use crate::function::{add_attribute, call_like, declare_like, replace};
use crate::handle::Handle;
use crate::julia_1_5 as julia;
use crate::literal::cast_literal;
use crate::slots::{as_type, Slots};
use crate::value::{using_instructions, Value};

/// What a thunk's body consists of.
struct Shape {
    call: Value,
    target: Value,
    literal: u64,
}

/// The one call in a thunk, if it has the form that `emit_tojlinvoke` gives it.
fn shape(thunk: Value) -> Option<Shape> {
    let mut calls = thunk.instructions().filter(|instruction| instruction.opcode() == LLVMOpcode::LLVMCall);
    let call = calls.next()?;
    let target = call.called()?;
    if calls.next().is_some()
        || call.argument_count() != 4
        || !target.is_function()
        || !target.is_declaration()
    {
        return None;
    }
    Some(Shape { call, target, literal: cast_literal(call.operand(3)?)? })
}

/// The prototypes that call this thunk, if nothing else does.
fn prototypes(thunk: Value) -> Option<Vec<Value>> {
    let mut functions = Vec::new();
    for instruction in using_instructions(thunk) {
        let function = instruction.parent_function()?;
        let is_call = instruction.opcode() == LLVMOpcode::LLVMCall;
        if !is_call || !julia::is_prototype(&function.name()) || functions.contains(&function) {
            return None;
        }
        functions.push(function);
    }
    (!functions.is_empty()).then_some(functions)
}

/// What became of the thunks.
#[derive(Default)]
pub(crate) struct Thunks {
    /// Thunks whose every use is to become the content of a slot.
    pub(crate) slots: HashMap<Value, SlotUse>,
    /// Functions that need no more rewriting, with the slots that they use.
    pub(crate) done: HashMap<Value, Vec<u32>>,
    /// Thunks that nobody could resolve.
    pub(crate) unknown: HashMap<Value, UnknownAddress>,
}

/// Rewrites all thunks of a module.
pub(crate) struct ThunkRewriter<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) builder: &'a Builder,
    pub(crate) slots: &'a mut Slots,
    pub(crate) addresses: &'a mut dyn Addresses,
}

impl ThunkRewriter<'_> {
    pub(crate) fn run(mut self) -> Thunks {
        let mut thunks = Thunks::default();
        for function in self.handle.defined_functions() {
            if julia::is_thunk(&function.name()) {
                self.rewrite(function, &mut thunks);
            }
        }
        thunks
    }

    fn rewrite(&mut self, thunk: Value, thunks: &mut Thunks) {
        let name = thunk.name();
        let unknown = |literal: u64, target: &str, reason: &'static str| UnknownAddress {
            address: literal,
            usage: "callee".to_owned(),
            instruction: format!("call of {target}"),
            reason,
        };
        let Some(shape) = shape(thunk) else {
            thunks.unknown.insert(thunk, unknown(0, "", "a thunk of a form that is not known"));
            thunks.done.insert(thunk, Vec::new());
            return;
        };
        let target = shape.target.name();
        let prototypes = prototypes(thunk);
        let kind =
            if target == julia::INVOKE { ThunkLiteral::MethodInstance } else { ThunkLiteral::CodeInstance };
        let answer = self.addresses.callee(&Thunk {
            function: &name,
            target: &target,
            literal: shape.literal,
            kind,
            specialised: prototypes.is_some(),
        });
        match (answer, prototypes) {
            (Callee::Invoke { invoke, code_instance }, _) => {
                self.builder.before(shape.call);
                let invoke_pointer = self.slots.load(self.handle, self.builder, SlotUse::new(invoke));
                let callee = as_type(self.handle, self.builder, invoke_pointer, 0, shape.target.ty());
                self.redirect(&shape, callee, code_instance);
                thunks.done.insert(thunk, vec![invoke, code_instance]);
            }
            (Callee::Generic { method_instance }, _) => {
                let invoke = self
                    .handle
                    .function(julia::INVOKE)
                    .unwrap_or_else(|| self.handle.add_function(shape.target.value_type(), julia::INVOKE));
                self.builder.before(shape.call);
                let callee = if invoke.ty() == shape.target.ty() {
                    invoke
                } else {
                    self.builder.pointer_cast(invoke, shape.target.ty())
                };
                self.redirect(&shape, callee, method_instance);
                thunks.done.insert(thunk, vec![method_instance]);
            }
            (Callee::Direct { specptr }, Some(prototypes)) => {
                for prototype in prototypes {
                    let new = self.forward(prototype, specptr);
                    // SAFETY: `prototype` comes from `prototypes` above, and neither list is used again.
                    unsafe { replace(new, prototype) };
                    thunks.done.insert(new, vec![specptr]);
                }
                // Constants that the old prototypes used are left, and may be found again by LLVM.
                thunk.replace_all_uses_with(thunk.ty().undef());
                // SAFETY: nothing uses it any longer, and this function is done with it.
                unsafe { thunk.delete_function() };
            }
            (Callee::DirectArgs { fptr }, None) => {
                thunks.slots.insert(thunk, SlotUse::new(fptr));
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
    }

    /// Makes the thunk call `callee`, with the object of slot `object` as the fourth argument. The builder
    /// stands before the call.
    fn redirect(&mut self, shape: &Shape, callee: Value, object: u32) {
        let content = self.slots.load(self.handle, self.builder, SlotUse::new(object));
        if let Some(literal) = shape.call.operand(3) {
            let argument = as_type(self.handle, self.builder, content, 0, literal.ty());
            shape.call.set_operand(3, argument);
        }
        // The callee is the last operand of a call.
        shape.call.set_operand(shape.call.operand_count().saturating_sub(1), callee);
        shape.call.set_tail_call();
    }

    /// A function like `prototype` that passes everything on to the function in slot `specptr`.
    ///
    /// The signature of a specialised function follows from its method instance and return type alone, so
    /// that of the prototype is that of the callee; hidden parameters (place of the result, roots) are passed
    /// on as they are.
    fn forward(&mut self, prototype: Value, specptr: u32) -> Value {
        let new = declare_like(self.handle, prototype);
        let block = self.handle.append_block(new);
        self.builder.at_end(block);
        let content = self.slots.load(self.handle, self.builder, SlotUse::new(specptr));
        let callee = as_type(self.handle, self.builder, content, 0, prototype.ty());
        let call = self.builder.call(prototype.value_type(), callee, &new.params());
        call_like(call, prototype);
        call.set_tail_call();
        self.builder.ret(call);
        // The call through the slot replaces that of the prototype, as the just-in-time compiler would have
        // it.
        add_attribute(self.handle, new, "alwaysinline");
        new
    }
}
