//! Modules of a few lines of LLVM's IR, as Julia's code generator writes it, and answers that are made up.

use std::collections::HashMap;

use inkwell::context::Context;
use inkwell::memory_buffer::MemoryBuffer;
use nativecache_codegen::{
    Addresses, Answer, Callee, ExportedFunction, Finished, NativeModule, OptLevel, Rewritten, Target, Thunk,
    Use,
};

/// What every module of Julia begins with.
const HEADER: &str = r#"
target datalayout = "e-m:e-i64:64-f80:128-n8:16:32:64-S128-ni:10:11:12:13"
target triple = "x86_64-pc-linux-gnu"
%jl_value_t = type opaque
declare void @jl_error(i8*)
declare void @jl_type_error(i8*, %jl_value_t addrspace(10)*, %jl_value_t addrspace(12)*)
declare void ()* @jl_load_and_lookup(i8*, i8*, i8**)
declare void @jl_throw(%jl_value_t addrspace(12)*)
declare nonnull %jl_value_t addrspace(10)* @jl_apply_generic(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32)
declare nonnull %jl_value_t addrspace(10)* @jl_invoke(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)** nocapture readonly, i32, %jl_value_t addrspace(10)*)
declare nonnull %jl_value_t addrspace(10)* @jsysw_callee_7(%jl_value_t addrspace(10)*, %jl_value_t addrspace(10)**, i32, %jl_value_t addrspace(10)*)
declare %jl_value_t*** @julia.ptls_states()
"#;

/// Parses `text` after the header. The module lives as long as the process.
pub(crate) fn module(text: &str) -> NativeModule {
    let context = Box::leak(Box::new(Context::create()));
    let buffer = MemoryBuffer::create_from_memory_range_copy(format!("{HEADER}{text}\0").as_bytes(), "test");
    let module = context.create_module_from_ir(buffer).expect("the IR of the test parses");
    let module = Box::leak(Box::new(module));
    // SAFETY: module and context are never freed, and nobody else uses them.
    let module = unsafe { NativeModule::from_raw(module.as_mut_ptr()) }.expect("a module");
    module.verify().expect("the IR of the test is valid");
    module
}

/// Answers from a table, and remembers the questions.
#[derive(Default)]
pub(crate) struct Script {
    slots: HashMap<u64, u32>,
    callees: HashMap<u64, Callee>,
    numbers: Vec<u64>,
    pub(crate) asked: Vec<(String, u64, String)>,
    pub(crate) thunks: Vec<(String, u64, bool)>,
}

impl Script {
    /// Each address gets the slot that stands before it.
    pub(crate) fn slots(slots: &[(u32, u64)]) -> Self {
        let slots = slots.iter().map(|&(slot, address)| (address, slot)).collect();
        Self { slots, ..Self::default() }
    }

    /// What looks like an address and is only a number.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.numbers.push(number);
        self
    }

    pub(crate) fn callee(mut self, literal: u64, callee: Callee) -> Self {
        self.callees.insert(literal, callee);
        self
    }

    /// Questions as `address usage`.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.asked.iter().map(|(_, address, usage)| format!("{address} {usage}")).collect()
    }
}

impl Addresses for Script {
    fn resolve(&mut self, function: &str, address: u64, usage: Use<'_>) -> Answer {
        let usage = match usage {
            Use::Value => "value".to_owned(),
            Use::Function => "function".to_owned(),
            Use::CString { callee, argument } => format!("string {callee} {argument}"),
            Use::Integer { bits } => format!("integer {bits}"),
        };
        self.asked.push((function.to_owned(), address, usage));
        self.slots.get(&address).map_or(Answer::Unknown, |slot| Answer::Slot(*slot))
    }

    fn callee(&mut self, thunk: &Thunk<'_>) -> Callee {
        self.thunks.push((thunk.target.to_owned(), thunk.literal, thunk.specialised));
        self.callees.get(&thunk.literal).copied().unwrap_or(Callee::Unknown)
    }

    /// What can be an address of user space on a 64-bit machine, and is above what programs use as numbers.
    fn is_candidate(&self, value: u64) -> bool {
        (1 << 32..1 << 47).contains(&value) && !self.numbers.contains(&value)
    }
}

/// Rewrites `text`; the result must be valid. Returns the module, what was found, and the new text.
pub(crate) fn rewrite(text: &str, script: &mut Script) -> (NativeModule, Rewritten, String) {
    let mut module = module(text);
    let rewritten = module.rewrite(script).expect("a fresh module");
    module.verify().expect("a rewritten module is valid");
    let text = print(&module);
    (module, rewritten, text)
}

/// The module as text.
pub(crate) fn print(module: &NativeModule) -> String {
    let path =
        std::env::temp_dir().join(format!("nativecache-codegen-{}-{:p}.ll", std::process::id(), module));
    module.write_ir(&path).expect("the temporary folder is writable");
    let text = std::fs::read_to_string(&path).expect("it was just written");
    std::fs::remove_file(&path).expect("it was just read");
    text
}

/// The text of one function.
pub(crate) fn function<'t>(text: &'t str, name: &str) -> &'t str {
    let start = text
        .match_indices("define ")
        .map(|(index, _)| index)
        .find(|&index| text[index..].lines().next().is_some_and(|line| line.contains(&format!("@{name}("))))
        .unwrap_or_else(|| panic!("no function {name} in\n{text}"));
    let end = text[start..].find("\n}").expect("functions end");
    &text[start..start + end + "\n}".len()]
}

/// Exports the functions of these names.
pub(crate) fn finish(module: &mut NativeModule, names: &[&str], slots: u32) -> Finished {
    let exported: Vec<ExportedFunction> = names
        .iter()
        .map(|name| ExportedFunction { value: module.function(name).expect("a function of the test") })
        .collect();
    let finished = module.finish(&exported, slots, [7; 16]).expect("finish");
    module.verify().expect("a finished module is valid");
    finished
}

/// Runs the passes; the result must be valid. Returns the new text.
pub(crate) fn optimise(module: &mut NativeModule, level: OptLevel) -> String {
    module.optimise(&Target::host(level)).expect("passes");
    module.verify().expect("valid after the passes");
    print(module)
}

/// Is there an address left in the text?
pub(crate) fn has_literal(text: &str) -> bool {
    text.match_indices("inttoptr (i64 ").any(|(index, prefix)| {
        let digits: String = text[index + prefix.len()..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().is_ok_and(|address| address >= 4096)
    })
}
