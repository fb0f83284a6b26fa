//! Drives this crate from inside a running Julia: see `runtests.jl` beside it.
//!
//! Its `Addresses` knows nothing of Julia. It gives each address a slot of its own, and the test fills the
//! slots with the same addresses in the same process. That shows that rewriting keeps the meaning of the
//! code.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_char, c_int, CStr, CString};
use std::path::Path;
use std::time::Instant;

use nativecache_codegen::llvm_sys::prelude::{LLVMModuleRef, LLVMValueRef};
use nativecache_codegen::{
    value_name, Addresses, Answer, Callee, ExportedFunction, NativeModule, OptLevel, Target, Thunk,
    ThunkLiteral, Use,
};

/// How thunks are answered.
const DIRECT: [c_int; 2] = [1, 3];
const INVOKE: c_int = 2;

/// Where the fields of `Core.CodeInstance` lie; the test reads them from Julia.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Layout {
    definition: u64,
    is_specsig: u64,
    invoke: u64,
    specptr: u64,
    fptr_args: u64,
}

struct Memory {
    slots: Vec<u64>,
    by_content: HashMap<u64, u32>,
    mapped: Vec<(u64, u64)>,
    layout: Layout,
    mode: c_int,
    counts: BTreeMap<String, u64>,
}

impl Memory {
    fn new(layout: Layout, mode: c_int) -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mapped = maps
            .lines()
            .filter_map(|line| {
                let (from, rest) = line.split_once('-')?;
                let (to, _) = rest.split_once(' ')?;
                Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
            })
            .collect();
        Self { slots: Vec::new(), by_content: HashMap::new(), mapped, layout, mode, counts: BTreeMap::new() }
    }

    /// The slot that holds this.
    fn slot(&mut self, content: u64) -> u32 {
        let next = self.slots.len() as u32;
        let index = *self.by_content.entry(content).or_insert(next);
        if index == next {
            self.slots.push(content);
        }
        index
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// A field of the code instance at `address`.
    fn field(address: u64, offset: u64) -> u64 {
        // SAFETY: a thunk's literal is a living code instance, and the offset is one of its fields.
        unsafe { ((address + offset) as *const u64).read() }
    }
}

impl Addresses for Memory {
    fn resolve(&mut self, _function: &str, address: u64, usage: Use<'_>) -> Answer {
        self.count(match usage {
            Use::Value => "value",
            Use::Function => "function",
            Use::CString { .. } => "string",
            Use::Integer { .. } => "integer",
        });
        if let Use::CString { .. } = usage {
            // SAFETY: the claim under test is that this is a C string; it must at least be readable.
            let text = unsafe { CStr::from_ptr(address as *const c_char) };
            assert!(text.to_bytes().len() < 10_000);
        }
        Answer::Slot(self.slot(address))
    }

    fn is_candidate(&self, value: u64) -> bool {
        self.mapped.iter().any(|(from, to)| (*from..*to).contains(&value))
    }

    fn callee(&mut self, thunk: &Thunk<'_>) -> Callee {
        if thunk.kind == ThunkLiteral::MethodInstance {
            self.count("generic");
            return Callee::Generic { method_instance: self.slot(thunk.literal) };
        }
        let layout = self.layout;
        let invoke = Self::field(thunk.literal, layout.invoke);
        let specptr = Self::field(thunk.literal, layout.specptr);
        let is_specsig = Self::field(thunk.literal, layout.is_specsig) & 0xff != 0;
        let direct = DIRECT.contains(&self.mode);
        if direct && thunk.specialised && is_specsig && specptr != 0 {
            self.count("direct");
            Callee::Direct { specptr: self.slot(specptr) }
        } else if direct && !thunk.specialised && invoke == layout.fptr_args && specptr != 0 {
            self.count("direct args");
            Callee::DirectArgs { fptr: self.slot(specptr) }
        } else if (direct || self.mode == INVOKE) && invoke != 0 {
            self.count("invoke");
            Callee::Invoke { invoke: self.slot(invoke), code_instance: self.slot(thunk.literal) }
        } else {
            self.count("generic");
            let instance = Self::field(thunk.literal, layout.definition);
            Callee::Generic { method_instance: self.slot(instance) }
        }
    }
}

#[derive(Default)]
struct Last {
    slots: Vec<u64>,
    text: CString,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

fn path(text: *const c_char) -> String {
    // SAFETY: the test passes C strings that live during the call.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Builds `object` of `module`. Returns 0, or -1 with the error as text.
///
/// # Safety
/// `module` comes from `jl_get_llvm_module`; `exported` are `count` of its functions; the texts are C
/// strings.
#[no_mangle]
pub unsafe extern "C" fn probe_build(
    module: LLVMModuleRef,
    exported: *const LLVMValueRef,
    count: usize,
    level: c_int,
    mode: c_int,
    layout: *const Layout,
    object: *const c_char,
    isolate: *const c_char,
    cpu_target: *const c_char,
) -> c_int {
    // SAFETY: as our caller promises.
    let (exported, layout) = unsafe { (std::slice::from_raw_parts(exported, count), *layout) };
    let mut memory = Memory::new(layout, mode);
    // SAFETY: as our caller promises.
    let result = unsafe {
        build(module, exported, level, &mut memory, &path(object), &path(isolate), &path(cpu_target))
    };
    let (code, text) = match result {
        Ok(text) => (0, text),
        Err(error) => (-1, error.to_string()),
    };
    LAST.with(|last| {
        *last.borrow_mut() = Last { slots: memory.slots, text: CString::new(text).unwrap_or_default() }
    });
    code
}

/// The steps of a build; returns the report.
///
/// # Safety
/// As for `probe_build`.
unsafe fn build(
    module: LLVMModuleRef,
    exported: &[LLVMValueRef],
    level: c_int,
    memory: &mut Memory,
    object: &str,
    isolate: &str,
    cpu_target: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut report = String::new();
    let start = Instant::now();
    // SAFETY: as our caller promises.
    let mut module = unsafe { NativeModule::from_raw(module) }?;
    let rewritten = module.rewrite(memory)?;
    let rewrite = start.elapsed();
    module.verify()?;
    module.write_ir(Path::new(&format!("{object}.rewritten.ll")))?;
    for function in rewritten.functions() {
        for unknown in &function.unknown {
            report += &format!("unknown\t{}\t{unknown:?}\n", function.name);
        }
        for import in &function.imports {
            report += &format!("import\t{import}\t{}\n", function.name);
        }
    }
    for &function in exported {
        // SAFETY: as our caller promises.
        let name = unsafe { value_name(function) }.unwrap_or_default();
        let closure = rewritten.closure(&name);
        report += &format!("closure\t{name}\t{}\t{}\n", closure.functions.len(), closure.slots.len());
    }

    let exported: Vec<ExportedFunction> = exported.iter().map(|&value| ExportedFunction { value }).collect();
    let start = Instant::now();
    let finished = module.finish(&exported, memory.slots.len() as u32, *b"0123456789abcdef")?;
    let finish = start.elapsed();
    module.verify()?;
    module.write_ir(Path::new(&format!("{object}.finished.ll")))?;
    if !isolate.is_empty() {
        let is_culprit =
            |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()) == format!("{isolate}_");
        let keep = finished.functions.iter().filter(|name| is_culprit(&name.before));
        module.isolate(&keep.map(|name| name.after.as_str()).collect::<Vec<_>>())?;
        module.verify()?;
    }

    let target = Target::of_session(cpu_target, OptLevel::try_from(level)?);
    let start = Instant::now();
    module.optimise(&target)?;
    let optimise = start.elapsed();
    module.verify()?;
    module.write_ir(Path::new(&format!("{object}.optimised.ll")))?;
    let start = Instant::now();
    module.emit_object(&target, Path::new(object))?;
    let emit = start.elapsed();
    for (name, seconds) in [("rewrite", rewrite), ("finish", finish), ("optimise", optimise), ("emit", emit)]
    {
        report += &format!("time\t{name}\t{}\n", seconds.as_secs_f64());
    }
    for (name, count) in &memory.counts {
        report += &format!("count\t{name}\t{count}\n");
    }
    report += &format!("functions\t{}\t{}\n", rewritten.functions().len(), finished.functions.len());
    Ok(report)
}

/// What the slots must hold.
///
/// # Safety
/// `count` is writable. What is returned lives until the next `probe_build`.
#[no_mangle]
pub unsafe extern "C" fn probe_slots(count: *mut usize) -> *const u64 {
    LAST.with(|last| {
        let last = last.borrow();
        // SAFETY: as our caller promises.
        unsafe { *count = last.slots.len() };
        last.slots.as_ptr()
    })
}

/// The report or the error of the last `probe_build`; lives until the next.
#[no_mangle]
pub extern "C" fn probe_text() -> *const c_char {
    LAST.with(|last| last.borrow().text.as_ptr())
}
