//! A build from method instances to a library file.
//!
//! infer -> emit -> rewrite; what turns out not to be cacheable is taken out and the rest emitted
//! again, until nothing unknown is left; then describe -> optimise -> object -> link -> append tables.

use nativecache_julia::root_modules;
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::fmt::Write as _;
use std::time::Instant;

use jl_sys::{
    jl_array_t, jl_code_instance_t, jl_method_instance_t, jl_method_t, jl_methtable_t, jl_module_t,
};
use nativecache_codegen::{ExportedFunction, NativeModule, OptLevel, StableNames, Target};
use nativecache_image::{
    content_hash, Bucket, CodeIndex, Digest, Digests, Entry, Function, FunctionId, Image, ImageBuilder,
    Invoke, NodeId, Reason, SlotId,
};
use nativecache_julia::addresses::Objects;
use nativecache_julia::collector::Collections;
use nativecache_julia::handles::{Method, Module};
use nativecache_julia::inspect;
use nativecache_julia::julia_1_5::{
    jl_array_ptr_1d_push, jl_fptr_const_return, jl_get_world_counter, jl_options,
};
use nativecache_julia::object::{array_items, is, root_module, Value};
use nativecache_julia::object_paths::Paths;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_runtime::load::key;
use nativecache_runtime::load::library::LibraryFile;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::foreign::ForeignTargets;
use nativecache_runtime::objects::inferred;
use nativecache_store::fields::line;
use nativecache_store::{lines, Hex};

use crate::compare;
use crate::dependencies::{without_code, Finished, Functions};
use crate::emission::{emit, Emission};
use crate::error::BuildError;
use crate::from_ji;
use crate::isolate;
use crate::journal::Journal;
use crate::linker;
use crate::made_at_init::MadeAtInit;
use crate::mentions::{Changeable, Mentions, PureMethods};
use crate::mi;
use crate::native::{Inference, Native};
use crate::object_files::ObjectFiles;
use crate::parts;
use crate::request::{Mode, Request};

/// Where one requested method stands.
#[derive(Clone, Debug)]
pub enum Status {
    /// To be compiled.
    Wanted(*mut jl_method_instance_t),
    /// Inference found that it returns a constant.
    Constant(*mut jl_code_instance_t),
    /// Left out on purpose.
    Skipped(Reason, String),
    /// Should have worked.
    Failed(Reason, String),
}

/// Everything about this process that a build needs.
pub struct World {
    pub sysimage: Sysimage,
    pub modules: Vec<*mut jl_module_t>,
    pub methods: Vec<*mut jl_method_t>,
    pub tables: Vec<*mut jl_methtable_t>,
    pub code_instances: Vec<*mut jl_code_instance_t>,
    pub roots: Vec<*mut jl_module_t>,
    /// Code instances that came with the packages' .ji files.
    pub from_ji: HashSet<usize>,
    /// What `__init__` functions have made.
    pub made_at_init: MadeAtInit,
    /// The names in methods' sources.
    pub mentions: Mentions,
    /// Methods that inference may have called.
    pub pure: PureMethods,
    /// Constants that a session could bind anew.
    pub changeable: Changeable,
    /// Code that callers may inline, as inference left it: code generation forgets some of it.
    inlineable: HashMap<*mut jl_code_instance_t, *mut jl_array_t>,
    /// Inferred code from which code generation starts; it forgets what callers may not inline.
    sources: HashMap<*mut jl_code_instance_t, Value>,
    /// The newest world when this process began.
    pub start: usize,
}

impl World {
    unsafe fn read(
        roots: Vec<*mut jl_module_t>,
        sysimage: Sysimage,
        start: usize,
        inferred: &HashMap<*mut jl_code_instance_t, Value>,
    ) -> Self {
        // SAFETY: the collector is off and nothing else runs.
        unsafe {
            let modules = inspect::all_modules(&roots);
            let tables = inspect::method_tables(&modules);
            let methods = inspect::methods(&tables);
            let mut code_instances = Vec::new();
            for method in &methods {
                for mi in inspect::specializations(*method) {
                    code_instances.extend(inspect::code_instances(mi));
                }
            }
            let inlineable = code_instances
                .iter()
                .filter(|ci| !sysimage.data.contains(&(**ci as usize)))
                .filter_map(|ci| Some((*ci, inferred::inlineable(*ci)?)))
                .collect();
            let kept = |ci: *mut jl_code_instance_t| {
                (!(*ci).inferred.is_null() && (*ci).inferred != jl_sys::jl_nothing).then_some((*ci).inferred)
            };
            let sources = code_instances
                .iter()
                .filter_map(|ci| Some((*ci, kept(*ci).or_else(|| inferred.get(ci).copied())?)))
                .collect();
            let from_ji = from_ji::code_instances();
            let made_at_init = MadeAtInit::collect(&modules);
            let pure = PureMethods::collect(&methods, &modules, &sysimage.data);
            let changeable = Changeable::collect(&modules, &sysimage.data);
            World {
                sysimage,
                modules,
                methods,
                tables,
                code_instances,
                roots,
                from_ji,
                made_at_init,
                mentions: Mentions::default(),
                pure,
                changeable,
                inlineable,
                sources,
                start,
            }
        }
    }

    /// The code from which that of `ci` is generated, as a CodeInfo.
    ///
    /// # Safety
    /// The collector is off.
    pub unsafe fn source(&self, ci: *mut jl_code_instance_t) -> Option<Value> {
        // SAFETY: `read` took it from this code instance, and nothing has been collected since.
        self.sources.get(&ci).and_then(|data| unsafe { inferred::code_info(ci, *data) })
    }

    /// The same as it is kept: a CodeInfo or its compressed form.
    pub fn kept_source(&self, ci: *mut jl_code_instance_t) -> Option<Value> {
        self.sources.get(&ci).copied()
    }

    /// The code of `ci` that callers may inline.
    pub fn inlineable(&self, ci: *mut jl_code_instance_t) -> Option<*mut jl_array_t> {
        self.inlineable.get(&ci).copied()
    }
}

/// Builds the library that `request` asks for.
///
/// # Safety
/// On a Julia thread, in a process that does nothing else; `methods` is a rooted `Vector{Any}` of method instances and
/// `nothing`. What must stay alive is added to it.
pub unsafe fn build(methods: *mut jl_sys::jl_array_t, request: &Request) -> Result<(), BuildError> {
    let rooted = methods;
    // SAFETY: as the caller says.
    let methods = unsafe { array_items(rooted) }.to_vec();
    let (given, statements) = (methods.len(), request.statements.len());
    if given != statements {
        return Err(BuildError::Mismatch { methods: given, statements });
    }
    let start = Instant::now();
    let mut journal = Journal::open(&request.journal)?;
    let sysimage = Sysimage::current().ok_or(BuildError::NoSysimage)?;
    // SAFETY: as the caller says; from here on no object may move or vanish.
    unsafe {
        let julia = Stopped::new();
        let inference = Inference::new(rooted).ok_or(BuildError::NoModule)?;
        let (mut statuses, sources) =
            infer_all(&methods, rooted, request, &sysimage, &inference, &mut journal);
        inference.close();
        let inferred = start.elapsed().as_secs_f64();
        let world =
            World::read(root_modules::roots(loaded_modules()), sysimage, request.start_world, &sources);
        if request.mode == Mode::Isolate {
            return isolate_culprits(&julia, &world, &statuses, request, &mut journal);
        }
        exclude(&world, &mut statuses, request);
        journal.note("emit");
        let emission = emit(&julia, &world, &mut statuses)?;
        let emitted = start.elapsed().as_secs_f64();
        let (mut module, image, exported) = assemble(emission, &world, &mut statuses, request)?;
        let id = content_hash(&image.bytes).0;
        let parts = module.finish_in_parts(&exported, image.slots, id, &lasting_names(&image)?)?;
        module.verify()?;
        let target = session_target(request)?;
        let tables = request.workdir.join("tables.o");
        module.emit_object(&target, &tables)?;
        let split = start.elapsed().as_secs_f64();
        journal.note("optimise");
        let held = request.objects.as_deref().map(ObjectFiles::read).unwrap_or_default();
        let (mut objects, for_next, made) =
            parts::compile(parts, &target, &request.workdir, &held, &mut journal)?;
        let kept = request.workdir.join("objects");
        if for_next.write(&kept).is_err() {
            // It costs the next build time. Half a file would be refused there.
            let _ = std::fs::remove_file(&kept);
        }
        objects.insert(0, tables);
        let compiled = start.elapsed().as_secs_f64();
        journal.note("link");
        let elf = request.workdir.join("code.so");
        linker::link(&request.linker, &objects, &elf)?;
        nativecache_image::append(&elf, &image.bytes, &request.output)?;
        // A linker may be anything: what no session could map must not take a good library's place.
        LibraryFile::open(&request.output)?.load()?;
        let mut result = image.result;
        if let Some(held) = &request.compare {
            for found in compare::compare(held, &request.output)? {
                result.push_str(&lines::line("different", None, &found.method, &found.what));
                if let Some(number) = found.number {
                    let _ = writeln!(result, "function\t{number}");
                }
            }
        }
        for (name, value) in [
            ("infer_seconds", inferred),
            ("emit_seconds", emitted - inferred),
            ("describe_seconds", split - emitted),
            ("compile_seconds", compiled - split),
            ("link_seconds", start.elapsed().as_secs_f64() - compiled),
            ("parts", made.all as f64),
            ("parts_compiled", made.compiled as f64),
            ("processes", made.processes as f64),
            ("functions", f64::from(image.functions)),
            ("slots", f64::from(image.slots)),
            ("nodes", f64::from(image.nodes)),
            ("not_kept", f64::from(image.not_kept)),
            ("image_bytes", image.bytes.len() as f64),
        ] {
            // Writing to a String cannot fail.
            let _ = writeln!(result, "stat\t{name}\t{value}");
        }
        std::fs::write(&request.result, result)
            .map_err(|e| BuildError::Io { what: request.result.clone(), error: e.to_string() })?;
        journal.note("done");
    }
    Ok(())
}

/// What the slots and functions of a library are, in words that no number of this build is in.
fn lasting_names(tables: &Tables) -> Result<StableNames, BuildError> {
    let image = Image::parse(&tables.bytes)?;
    let digests = Digests::of_any_build(image)?;
    let text = |digest: Digest| Hex(&digest).to_string();
    let slots =
        (0..tables.slots).map(|slot| digests.slot(SlotId(slot)).map(text)).collect::<Result<_, _>>()?;
    let functions =
        tables.named.iter().map(|(name, instance)| (name.clone(), text(digests.node(*instance)))).collect();
    Ok(StableNames { slots, functions })
}

/// What this process's JIT compiles for: the host, or what `-C` says.
fn session_target(request: &Request) -> Result<Target, BuildError> {
    // SAFETY: constant once Julia runs; null or NUL-terminated.
    let wanted = unsafe {
        let text = jl_options.cpu_target;
        if text.is_null() {
            c"native"
        } else {
            CStr::from_ptr(text)
        }
    };
    let level = OptLevel::try_from(request.opt)?;
    Ok(Target::of_session(&wanted.to_string_lossy(), level))
}

/// `Base.loaded_modules_array()`.
pub unsafe fn loaded_modules() -> *mut jl_sys::jl_array_t {
    // SAFETY: jl_call0 catches; the array is boxed modules.
    unsafe {
        let name = nativecache_julia::object::symbol("loaded_modules_array");
        let function = nativecache_julia::inspect::constant(jl_sys::jl_base_module, name);
        let array = function.map_or(std::ptr::null_mut(), |f| jl_sys::jl_call0(f));
        if array.is_null() {
            jl_sys::jl_alloc_array_1d(jl_sys::jl_array_any_type.cast(), 0)
        } else {
            array.cast()
        }
    }
}

/// The collector runs in between: results of inference are a small part of what inference allocates. What they belong to
/// can be reached from the methods, and the sources go into `rooted`.
unsafe fn infer_all(
    methods: &[Value],
    rooted: *mut jl_sys::jl_array_t,
    request: &Request,
    sysimage: &Sysimage,
    inference: &Inference,
    journal: &mut Journal,
) -> (Vec<Status>, HashMap<*mut jl_code_instance_t, Value>) {
    let mut statuses = Vec::with_capacity(methods.len());
    let mut sources = HashMap::new();
    let mut times = String::new();
    // SAFETY: as `build`.
    let mut collections = unsafe { Collections::new() };
    for (i, method) in methods.iter().enumerate() {
        // SAFETY: as above.
        unsafe { collections.here() };
        let start = Instant::now();
        // SAFETY: items are method instances or `nothing`.
        let status = unsafe {
            if method.is_null() || !is(*method, jl_sys::jl_method_instance_type) {
                let reason = request.reasons.get(&i).cloned();
                match reason.unwrap_or_else(|| (Reason::NoSuchMethod, String::new())) {
                    (Reason::CompilerAborted, detail) => Status::Failed(Reason::CompilerAborted, detail),
                    (reason, detail) => Status::Skipped(reason, detail),
                }
            } else {
                journal.note(&format!("infer {}", i + 1));
                infer_one(method.cast(), rooted, sysimage, inference, &mut sources)
            }
        };
        times.push_str(&format!("{}\t{}\n", i + 1, start.elapsed().as_micros()));
        statuses.push(status);
    }
    // For the profile only: what a method costs when nobody has compiled it.
    let _ = std::fs::write(request.workdir.join("times"), times);
    (statuses, sources)
}

unsafe fn infer_one(
    mi: *mut jl_method_instance_t,
    rooted: *mut jl_sys::jl_array_t,
    sysimage: &Sysimage,
    inference: &Inference,
    sources: &mut HashMap<*mut jl_code_instance_t, Value>,
) -> Status {
    // SAFETY: `mi` is live.
    unsafe {
        let world = jl_get_world_counter();
        if !is((*mi).def.value, jl_sys::jl_method_type) {
            return Status::Skipped(Reason::NamesMain, "top-level code".into());
        }
        let in_sysimage = inspect::code_instances(mi).any(|ci| {
            (*ci).min_world <= world
                && (*ci).max_world >= world
                && (*ci).invoke.is_some()
                && sysimage.data.contains(&(ci as usize))
                && sysimage.span.contains(&((*ci).specptr.fptr as usize))
        });
        if in_sysimage {
            return Status::Skipped(Reason::InSysimage, String::new());
        }
        match inference.infer(mi) {
            Err((reason, detail)) => Status::Failed(reason, detail),
            Ok((ci, _)) if returns_constant(ci) => Status::Constant(ci),
            Ok((ci, source)) => {
                jl_array_ptr_1d_push(rooted, source);
                sources.insert(ci, source);
                Status::Wanted(mi)
            }
        }
    }
}

pub unsafe fn returns_constant(ci: *mut jl_code_instance_t) -> bool {
    // SAFETY: `ci` is live.
    unsafe { (*ci).invoke.is_some_and(|f| f as usize == jl_fptr_const_return as *const () as usize) }
}

/// Takes out what killed an earlier worker.
unsafe fn exclude(world: &World, statuses: &mut [Status], request: &Request) {
    if request.excluded.is_empty() {
        return;
    }
    let excluded: HashSet<&str> = request.excluded.iter().map(String::as_str).collect();
    // SAFETY: live objects; without its inferred code a callee is called through `jl_invoke`.
    unsafe {
        for ci in &world.code_instances {
            if excluded.contains(mi::text((**ci).def).as_str()) {
                (**ci).inferred = jl_sys::jl_nothing;
            }
        }
        for status in statuses {
            if let Status::Wanted(mi) = status {
                if excluded.contains(mi::text(*mi).as_str()) {
                    let detail = "tried alone in a process of its own".to_owned();
                    *status = Status::Failed(Reason::CompilerAborted, detail);
                }
            }
        }
    }
}

/// Finds out which method instances kill the compiler and appends them to the exclude file.
unsafe fn isolate_culprits(
    julia: &Stopped,
    world: &World,
    statuses: &[Status],
    request: &Request,
    journal: &mut Journal,
) -> Result<(), BuildError> {
    let mut statuses = statuses.to_vec();
    let mut culprits: Vec<String> = Vec::new();
    // SAFETY: this process has one Julia thread; children only run the compiler and leave.
    unsafe {
        exclude(world, &mut statuses, request);
        journal.note("isolate");
        let wanted: Vec<_> = statuses
            .iter()
            .filter_map(|s| if let Status::Wanted(mi) = s { Some(*mi) } else { None })
            .collect();
        let dead = isolate::culprits(&wanted, &mut |part| {
            Native::create(part);
        });
        culprits.extend(dead.iter().map(|mi| mi::text(*mi)));
        if dead.is_empty() {
            let emission = emit(julia, world, &mut statuses)?;
            let groups = emission.groups();
            let (mut module, image, exported) = assemble(emission, world, &mut statuses, request)?;
            let finished = module.finish(&exported, image.slots, content_hash(&image.bytes).0)?;
            let target = session_target(request)?;
            let after: HashMap<&str, &str> =
                finished.functions.iter().map(|f| (f.before.as_str(), f.after.as_str())).collect();
            let scratch = request.workdir.join("isolated.o");
            let dead = isolate::culprits(&groups.iter().collect::<Vec<_>>(), &mut |part| {
                let keep: Vec<&str> = part
                    .iter()
                    .flat_map(|group| &group.functions)
                    .filter_map(|name| after.get(name.as_str()).copied())
                    .collect();
                let tried = module
                    .isolate(&keep)
                    .and_then(|()| module.optimise(&target))
                    .and_then(|()| module.emit_object(&target, &scratch));
                // An error that is returned will be returned to the build as well.
                drop(tried);
            });
            culprits.extend(dead.iter().map(|group| mi::text(group.method_instance)));
        }
    }
    culprits.sort();
    culprits.dedup();
    let mut text: String = request.excluded.iter().map(|text| line([text])).collect();
    text.extend(culprits.iter().map(|text| line([text])));
    std::fs::write(&request.exclude, text)
        .map_err(|e| BuildError::Io { what: request.exclude.clone(), error: e.to_string() })
}

/// The tables of a library, written.
pub struct Tables {
    pub bytes: Vec<u8>,
    pub slots: u32,
    pub functions: u32,
    pub nodes: u32,
    pub not_kept: u32,
    /// LLVM functions by name, with the node of the method instance that they are the code of.
    named: Vec<(String, NodeId)>,
    /// Lines for build.jl.
    pub result: String,
}

type Assembled = (NativeModule, Tables, Vec<ExportedFunction>);

unsafe fn assemble(
    emission: Emission<'_>,
    world: &World,
    statuses: &mut [Status],
    request: &Request,
) -> Result<Assembled, BuildError> {
    let Emission { module, mut describer, rewritten: _, code_instances } = emission;
    let mut exported = Vec::new();
    let mut named = Vec::new();
    let mut image_functions = Functions::new();
    // SAFETY: all code instances are live, the collector is off.
    unsafe {
        for code in &code_instances {
            let mut code_index = |value| {
                exported.push(ExportedFunction { value });
                CodeIndex(u32::try_from(exported.len() - 1).unwrap_or(u32::MAX))
            };
            match code.describe(world, &mut describer, &mut code_index) {
                Ok(function) => {
                    named.extend(code.names().iter().map(|name| (name.clone(), function.method_instance)));
                    image_functions.add((*code.ci).def, function);
                }
                Err(error) => code.reject(statuses, error.reason, &error.detail),
            }
        }
        for status in statuses.iter_mut() {
            let Status::Constant(ci) = *status else { continue };
            match constant_function(ci, &mut describer) {
                Ok(function) => {
                    image_functions.add((*ci).def, function);
                    *status = Status::Wanted((*ci).def);
                }
                Err(error) => *status = Status::Skipped(error.reason, error.detail),
            }
        }
        describer.image.set_code_count(u32::try_from(exported.len()).unwrap_or(u32::MAX));
    }
    // SAFETY: as above.
    let Finished { ids: functions, not_kept } =
        unsafe { image_functions.finish(world, &mut describer, statuses) }?;
    for (name, value) in key::of_process() {
        describer.image.key(name, value)?;
    }
    for (hash, names) in &request.module_sets {
        describer.image.module_set(*hash, names);
    }
    let mut result = String::new();
    for (statement, status) in request.statements.iter().zip(statuses.iter()) {
        // SAFETY: as above.
        let entry = unsafe { entry(statement, status, &functions, &mut describer) };
        let line = outcome_line(&entry);
        result.push_str(&line);
        describer.image.entry(entry)?;
    }
    let image: ImageBuilder = describer.image;
    let tables = Tables {
        not_kept,
        named,
        slots: image.slot_count(),
        functions: image.function_count(),
        nodes: image.node_count(),
        bytes: image.finish()?,
        result,
    };
    Ok((module, tables, exported))
}

unsafe fn constant_function(
    ci: *mut jl_code_instance_t,
    describer: &mut Describer,
) -> Result<Function, nativecache_runtime::error::Undescribable> {
    // SAFETY: `ci` is live and returns a constant, which is then in `rettype_const`.
    unsafe {
        let mi = describer.describe((*ci).def.cast())?;
        let rettype = describer.describe((*ci).rettype)?;
        let constant = describer.describe((*ci).rettype_const)?;
        Ok(without_code(mi, rettype, Some(constant), Invoke::ConstReturn))
    }
}

unsafe fn entry(
    statement: &str,
    status: &Status,
    functions: &HashMap<*mut jl_method_instance_t, FunctionId>,
    describer: &mut Describer,
) -> Entry {
    let mut package = None;
    let bucket = match status {
        Status::Wanted(mi) => {
            // SAFETY: a wanted method instance has a method.
            package = unsafe {
                let method = (**mi).def.value.cast::<jl_method_t>();
                describer.package(root_module((*method).module)).ok()
            };
            match functions.get(mi) {
                Some(id) => Bucket::Compiled(*id),
                None => Bucket::Failed { reason: Reason::NotInferred, detail: "nothing was emitted".into() },
            }
        }
        // assemble() has turned these into functions, or skipped them.
        Status::Constant(_) => Bucket::Skipped { reason: Reason::ConstantResult, detail: String::new() },
        Status::Skipped(reason, detail) => Bucket::Skipped { reason: *reason, detail: detail.clone() },
        Status::Failed(reason, detail) => Bucket::Failed { reason: *reason, detail: detail.clone() },
    };
    Entry { statement: statement.to_owned(), package, bucket }
}

/// What became of a requested method, as the line that `nativecache_peek` gives in a session.
fn outcome_line(entry: &Entry) -> String {
    match &entry.bucket {
        Bucket::Compiled(_) => lines::line("compiled", None, &entry.statement, ""),
        Bucket::Skipped { reason, detail } => lines::line("skipped", Some(*reason), &entry.statement, detail),
        Bucket::Failed { reason, detail } => lines::line("failed", Some(*reason), &entry.statement, detail),
    }
}

/// What describes this process's objects, made anew for each emission.
pub unsafe fn describer<'j>(julia: &'j Stopped, world: &World) -> (Describer<'j>, Objects, ForeignTargets) {
    // SAFETY: as `build`.
    unsafe {
        let module = |m: &*mut jl_module_t| Module::from_ptr(*m);
        let modules: Vec<Module<'j>> = world.modules.iter().filter_map(module).collect();
        let methods: Vec<Method<'j>> = world.methods.iter().filter_map(|m| Method::from_ptr(*m)).collect();
        let paths = Paths::collect(julia, &modules, &methods);
        let in_sysimage =
            world.roots.iter().filter(|m| world.sysimage.data.contains(&(**m as usize))).filter_map(module);
        let describer = Describer::new(julia, paths, in_sysimage.collect(), &world.sysimage);
        (describer, Objects::collect(world.sysimage.clone(), &world.modules), ForeignTargets::default())
    }
}
