//! Does code that runs while other code is compiled read state?
//!
//! A generator, and a pure function that inference calls, runs once for a method instance, and what it said stays.
//! If it reads a `Ref` that `__init__` fills, an environment variable or the number of threads, a session would get
//! another answer than the build. So its lowered code is looked through, with that of all it may call in packages;
//! of functions of the sysimage only those on a list are taken to read nothing.
//!
//! A function is taken with all its methods, but for those that no argument of this code can reach: a method for a mutable
//! type of a package counts when the code is seen to make such an object, or to be given one ([`Search::is_reached`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use jl_sys::{jl_datatype_t, jl_expr_t, jl_method_t, jl_module_t, jl_typename_t};
use nativecache_runtime::inspect;
use nativecache_runtime::julia::{jl_get_binding, jl_uncompress_ir};
use nativecache_runtime::layout;
use nativecache_runtime::value::{
    array_items, is, is_type, module_path, root_module, svec_items, symbol_str, type_name, type_of, Value,
};

use crate::made_at_init::MadeAtInit;

/// What a piece of code was found to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Nothing but its arguments, and constants that cannot change.
    Nothing,
    /// This could not be looked through.
    Unknown(String),
    /// This state.
    State(String),
}

/// What was found, and the constants of packages on which the answer rests.
#[derive(Clone, Debug)]
pub struct Finding {
    pub reading: Reading,
    pub constants: BTreeMap<&'static str, Value>,
}

/// Functions and types of Core and Base that give the same for the same arguments.
const HARMLESS: &[&str] = &[
    "!",
    "!=",
    "!==",
    "%",
    "&",
    "*",
    "+",
    "-",
    "/",
    "<",
    "<:",
    "<<",
    "<=",
    "==",
    "===",
    ">",
    ">:",
    ">=",
    ">>",
    ">>>",
    "|",
    "xor",
    "div",
    "rem",
    "mod",
    "fld",
    "cld",
    "min",
    "max",
    "abs",
    "sign",
    "isequal",
    "isless",
    "cmp",
    "zero",
    "one",
    "identity",
    "ifelse",
    "tuple",
    "getindex",
    "setindex!",
    "length",
    "size",
    "axes",
    "ndims",
    "eltype",
    "firstindex",
    "lastindex",
    "iterate",
    "push!",
    "pushfirst!",
    "append!",
    "pop!",
    "popfirst!",
    "prepend!",
    "collect",
    "collect_to!",
    "map",
    "ntuple",
    "foldl",
    "foldr",
    "reduce",
    "mapreduce",
    "filter",
    "any",
    "all",
    "sum",
    "prod",
    "maximum",
    "minimum",
    "enumerate",
    "zip",
    "reverse",
    "in",
    "isempty",
    "first",
    "last",
    "tail",
    "front",
    "vcat",
    "hcat",
    "vect",
    "copy",
    "similar",
    "fill",
    "Colon",
    "convert",
    "promote_type",
    "typejoin",
    "typeintersect",
    "isa",
    "isconcretetype",
    "isbitstype",
    "isabstracttype",
    "isprimitivetype",
    "isbits",
    "fieldcount",
    "fieldnames",
    "fieldname",
    "fieldtype",
    "fieldtypes",
    "nfields",
    "sizeof",
    "unwrap_unionall",
    "getproperty",
    "setproperty!",
    "Expr",
    "QuoteNode",
    "LineNumberNode",
    "Generator",
    "materialize",
    "broadcasted",
    "error",
    "throw",
    "ArgumentError",
    "DimensionMismatch",
    "BoundsError",
    "indexed_iterate",
    "values",
    "keys",
    "pairs",
    "eachindex",
    "Array",
    "Tuple",
    "NamedTuple",
    "Val",
    "Pair",
    "Int64",
    "Int32",
    "UInt64",
    "UInt8",
    "Bool",
    "Float64",
    "Float32",
    "typeof",
    "Typeof",
    "apply_type",
    "getfield",
    "setfield!",
    "svec",
    "typeassert",
    "arrayref",
    "arrayset",
    "arraysize",
    "_apply",
    "_apply_iterate",
    "_expr",
    "UnitRange",
    "OneTo",
];

/// Functions of the sysimage whose answers depend on the process, the machine or all that is loaded.
const STATEFUL: &[&str] = &[
    "nthreads",
    "threadid",
    "rand",
    "randn",
    "rand!",
    "time",
    "time_ns",
    "now",
    "today",
    "getpid",
    "gethostname",
    "open",
    "read",
    "readline",
    "readlines",
    "eachline",
    "isfile",
    "isdir",
    "ispath",
    "stat",
    "lstat",
    "mtime",
    "filesize",
    "readdir",
    "pwd",
    "homedir",
    "tempdir",
    "mktemp",
    "methods",
    "_methods",
    "_methods_by_ftype",
    "hasmethod",
    "which",
    "_which",
    "method_exists",
    "method_instances",
    "code_lowered",
    "code_typed",
    "get_world_counter",
    "names",
    "isconst",
    "isdefined",
    "eval",
    "include",
    "invokelatest",
    "run",
    "pathof",
    "pkgdir",
    "nprocs",
    "myid",
    "workers",
    "nworkers",
    "dlopen",
    "dlsym",
    "find_library",
    "unsafe_load",
    "unsafe_string",
    "loaded_modules_array",
    "root_module",
    "require",
    "identify_package",
    "displaysize",
    "task_local_storage",
    "current_task",
    "cglobal",
    "pointerref",
    "llvmcall",
    "EnvDict",
    "JLOptions",
];

/// What calls its first argument.
const HIGHER_ORDER: &[&str] = &[
    "map",
    "ntuple",
    "foldl",
    "foldr",
    "reduce",
    "mapreduce",
    "filter",
    "any",
    "all",
    "sum",
    "prod",
    "maximum",
    "minimum",
    "Generator",
    "broadcasted",
    "_apply",
];

/// What does not call a type that it is given.
const LOOKS: &[&str] = &[
    "isa",
    "<:",
    ">:",
    "===",
    "!==",
    "==",
    "apply_type",
    "typeassert",
    "typejoin",
    "typeintersect",
    "fieldtype",
    "fieldcount",
    "fieldnames",
    "isbitstype",
    "isconcretetype",
    "sizeof",
    "eltype",
];

/// Modules of the sysimage all of whose functions count as such.
const STATEFUL_MODULES: &[&str] = &[
    "Base.Threads",
    "Base.Sys",
    "Base.Filesystem",
    "Base.Libc",
    "Random",
    "Distributed",
    "Libdl",
    "Sockets",
    "Pkg",
];

/// Looks through lowered code.
pub struct States<'a> {
    /// Where the sysimage's objects lie.
    pub sysimage: &'a Range<usize>,
    pub made: &'a MadeAtInit,
    /// Constructors that packages define, by the names of the types that they are for: in Julia's tables they are all methods of
    /// `Type`.
    constructors: HashMap<usize, Vec<*mut jl_method_t>>,
}

/// One search.
struct Search<'a> {
    states: &'a States<'a>,
    /// The package that asks: its methods for functions of the sysimage count.
    root: *mut jl_module_t,
    found: Finding,
    methods: Vec<*mut jl_method_t>,
    seen: HashSet<usize>,
    /// Methods that wait for an object of a type that nothing seen so far makes.
    waiting: Vec<*mut jl_method_t>,
    /// Names of the packages' types of which there may be objects.
    alive: HashSet<usize>,
    /// What the code is given may be of any type.
    given_anything: bool,
    /// A name that has no value yet. To read it throws, and what throws gives no answer,
    undefined: Option<String>,
    /// unless something catches.
    catches: bool,
}

impl<'a> States<'a> {
    /// # Safety
    /// The collector is off, nothing else runs.
    pub unsafe fn new(sysimage: &'a Range<usize>, made: &'a MadeAtInit) -> Self {
        let mut constructors: HashMap<usize, Vec<*mut jl_method_t>> = HashMap::new();
        // SAFETY: as the caller says; type names, their tables and methods are live.
        unsafe {
            let name = type_name(jl_sys::jl_type_type.cast());
            let table = name.map_or(std::ptr::null_mut(), |name| (*name).mt);
            if !table.is_null() && table.cast() != jl_sys::jl_nothing {
                inspect::visit_typemap((*table).defs, &mut |entry| {
                    let method: *mut jl_method_t = (*entry).func.value.cast();
                    if is(method.cast(), jl_sys::jl_method_type) && !sysimage.contains(&(method as usize)) {
                        let mut of = HashSet::new();
                        constructed((*method).sig, &mut of);
                        of.into_iter().for_each(|name| constructors.entry(name).or_default().push(method));
                    }
                });
            }
        }
        Self { sysimage, made, constructors }
    }
}

impl States<'_> {
    /// What a pure method reads.
    ///
    /// # Safety
    /// `method` is live; the collector is off, nothing else runs.
    pub unsafe fn of_method(&self, method: *mut jl_method_t) -> Finding {
        // SAFETY: as the caller says.
        unsafe {
            let mut search = self.search(method);
            search.given((*method).sig);
            search.add_method(method);
            search.run()
        }
    }

    /// What the generator of a method reads.
    ///
    /// # Safety
    /// As [`States::of_method`]; it has a generator.
    pub unsafe fn of_generator(&self, method: *mut jl_method_t) -> Finding {
        // SAFETY: as the caller says. `gen` is the first field of a GeneratedFunctionStub (boot.jl).
        unsafe {
            let mut search = self.search(method);
            search.add_generator((*method).generator);
            search.run()
        }
    }

    unsafe fn search(&self, method: *mut jl_method_t) -> Search<'_> {
        let found = Finding { reading: Reading::Nothing, constants: BTreeMap::new() };
        // SAFETY: as `of_method`.
        let root = unsafe { root_module((*method).module) };
        Search {
            states: self,
            root,
            found,
            methods: Vec::new(),
            seen: HashSet::new(),
            waiting: Vec::new(),
            alive: HashSet::new(),
            given_anything: false,
            undefined: None,
            catches: false,
        }
    }
}

impl Search<'_> {
    unsafe fn run(mut self) -> Finding {
        while !matches!(self.found.reading, Reading::State(_)) {
            let Some(method) = self.methods.pop() else {
                // What was seen meanwhile may make an object that they take.
                // SAFETY: as `of_method`.
                let (reached, waiting) = std::mem::take(&mut self.waiting)
                    .into_iter()
                    .partition(|method| unsafe { self.is_reached(*method) });
                (self.methods, self.waiting) = (reached, waiting);
                if self.methods.is_empty() {
                    break;
                }
                continue;
            };
            // SAFETY: as `of_method`; `source` is null, a CodeInfo or its compressed form.
            unsafe {
                if !(*method).generator.is_null() {
                    self.add_generator((*method).generator);
                }
                let mut source = (*method).source;
                if !source.is_null() && is(source, jl_sys::jl_array_uint8_type.cast()) {
                    source = jl_uncompress_ir(method, std::ptr::null_mut(), source.cast());
                }
                if !source.is_null() && is(source, jl_sys::jl_code_info_type) {
                    self.code(source);
                } else if (*method).generator.is_null() {
                    self.unknown(|| symbol_str((*method).name).to_owned());
                }
            }
        }
        if let Some(name) = self.undefined.take().filter(|_| self.catches) {
            self.state(name);
        }
        self.found
    }

    fn unknown(&mut self, what: impl FnOnce() -> String) {
        if self.found.reading == Reading::Nothing {
            self.found.reading = Reading::Unknown(what());
        }
    }

    fn state(&mut self, what: String) {
        if !matches!(self.found.reading, Reading::State(_)) {
            self.found.reading = Reading::State(what);
        }
    }

    /// What the signature of a pure method lets it be given: inference calls it with any constants that fit, objects of
    /// mutable types among them. (A generator is given types and symbols, and what type parameters hold.)
    unsafe fn given(&mut self, sig: Value) {
        // SAFETY: a signature is a tuple type, perhaps within UnionAlls; the first parameter is the function.
        unsafe {
            for parameter in signature_parameters(sig).into_iter().skip(1) {
                self.given_one(parameter, 0);
            }
        }
    }

    unsafe fn given_one(&mut self, ty: Value, depth: u32) {
        // SAFETY: as `given`.
        unsafe {
            match Accepts::of(ty, self.states.sysimage) {
                _ if depth > 20 => self.given_anything = true,
                Accepts::Types => {}
                Accepts::Object(name) => {
                    self.alive.insert(name as usize);
                    self.given_anything |= unwrapped((*name).wrapper).is_none_or(|ty| !holds_nothing(ty));
                }
                Accepts::Either(parts) => parts.into_iter().for_each(|part| self.given_one(part, depth + 1)),
                Accepts::Plain => {}
                Accepts::Anything => self.given_anything = true,
            }
        }
    }

    /// Can what this code makes or is given be an argument of the method?
    ///
    /// Objects of immutable types may come out of a type parameter, so only those of mutable types must be seen to be made.
    unsafe fn is_reached(&self, method: *mut jl_method_t) -> bool {
        // SAFETY: as `given`.
        unsafe {
            self.given_anything
                || signature_parameters((*method).sig).into_iter().skip(1).all(|ty| {
                    match Accepts::of(ty, self.states.sysimage) {
                        Accepts::Object(name) => {
                            let ty = unwrapped((*name).wrapper);
                            ty.is_none_or(|ty| (*ty).mutabl == 0) || self.alive.contains(&(name as usize))
                        }
                        _ => true,
                    }
                })
        }
    }

    unsafe fn add_method(&mut self, method: *mut jl_method_t) {
        if self.seen.insert(method as usize) {
            self.methods.push(method);
        }
    }

    unsafe fn add_generator(&mut self, stub: Value) {
        // SAFETY: as `States::of_generator`; the layout is checked.
        unsafe {
            let ty = type_of(stub);
            let known = symbol_str((*(*ty).name).name) == "GeneratedFunctionStub";
            match layout::field(ty, 0) {
                Some((offset, true)) if known => {
                    let function = *stub.cast::<u8>().add(offset).cast::<Value>();
                    self.called((*type_of(function)).name);
                }
                _ => self.unknown(|| "a generator of another kind".to_owned()),
            }
        }
    }

    /// The statements of a CodeInfo, whose first field is `code`, a Vector{Any}.
    unsafe fn code(&mut self, code: Value) {
        // SAFETY: statements are trees of live objects.
        unsafe {
            let statements = array_items((*code.cast::<Value>()).cast());
            let mut values: Vec<Option<Value>> = Vec::with_capacity(statements.len());
            for statement in statements {
                let value = self.visit(*statement, &values, 0);
                values.push(value);
            }
        }
    }

    /// Looks at a statement or an operand; its value, if that is a constant.
    unsafe fn visit(&mut self, node: Value, values: &[Option<Value>], depth: u32) -> Option<Value> {
        if node.is_null() || depth > 200 {
            self.unknown(|| "code that is too deep".to_owned());
            return None;
        }
        // SAFETY: kinds are checked before casts; a GlobalRef is (module, name), a QuoteNode (value), an SSAValue the
        // number of its statement, from 1.
        unsafe {
            if is(node, jl_sys::jl_expr_type) {
                return self.expression(node.cast(), values, depth);
            }
            if is(node, jl_sys::jl_ssavalue_type) {
                let at = (*node.cast::<isize>()).wrapping_sub(1).cast_unsigned();
                return values.get(at).copied().flatten();
            }
            if is(node, jl_sys::jl_globalref_type) {
                let value =
                    self.global((*node.cast::<Value>()).cast(), (*node.cast::<Value>().add(1)).cast())?;
                self.value(value, symbol_str((*node.cast::<Value>().add(1)).cast()));
                return Some(value);
            }
            let literal = if is(node, jl_sys::jl_quotenode_type) { *node.cast::<Value>() } else { node };
            let control = ["SlotNumber", "GotoNode", "NewvarNode", "LineNumberNode", "Argument"];
            let name = symbol_str((*(*type_of(literal)).name).name);
            if control.contains(&name) {
                return None;
            }
            // What is quoted is put into the code that is made.
            if !is(literal, jl_sys::jl_expr_type) && !is(literal, jl_sys::jl_symbol_type) {
                self.value(literal, "an object in its code");
            }
            Some(literal)
        }
    }

    unsafe fn expression(
        &mut self,
        e: *mut jl_expr_t,
        values: &[Option<Value>],
        depth: u32,
    ) -> Option<Value> {
        // SAFETY: as `visit`.
        unsafe {
            let args = array_items((*e).args);
            self.catches |= symbol_str((*e).head) == "enter";
            match symbol_str((*e).head) {
                "copyast" | "inert" | "meta" | "static_parameter" | "boundscheck" | "inbounds" | "leave"
                | "enter" | "the_exception" | "pop_exception" | "loopinfo" => None,
                "foreigncall" => {
                    self.state("what a C function says".to_owned());
                    None
                }
                "isdefined" => {
                    if args.iter().any(|arg| is(*arg, jl_sys::jl_globalref_type)) {
                        self.state("what is defined".to_owned());
                    }
                    None
                }
                "method" | "thunk" | "global" | "const" => {
                    self.unknown(|| "a definition".to_owned());
                    None
                }
                "=" => {
                    let value = args.get(1).and_then(|value| self.visit(*value, values, depth + 1));
                    // A module in a variable may be asked for anything.
                    if value.is_some_and(|value| is(value, jl_sys::jl_module_type)) {
                        self.unknown(|| "a module".to_owned());
                    }
                    None
                }
                "call" => self.call(args, values, depth),
                // A closure may be called by whoever gets it.
                "new" | "splatnew" => {
                    let value = args.first().and_then(|ty| self.visit(*ty, values, depth + 1));
                    value.into_iter().for_each(|ty| self.handed_on(ty));
                    for arg in args.iter().skip(1) {
                        self.operand(*arg, values, depth);
                    }
                    None
                }
                _ => {
                    for arg in args {
                        self.operand(*arg, values, depth);
                    }
                    None
                }
            }
        }
    }

    /// An operand that is used as a value.
    unsafe fn operand(&mut self, arg: Value, values: &[Option<Value>], depth: u32) -> Option<Value> {
        // SAFETY: as `visit`.
        unsafe {
            let value = self.visit(arg, values, depth + 1);
            if value.is_some_and(|value| is(value, jl_sys::jl_module_type)) {
                self.unknown(|| "a module".to_owned());
            }
            value
        }
    }

    unsafe fn call(&mut self, args: &[Value], values: &[Option<Value>], depth: u32) -> Option<Value> {
        let (function, args) = args.split_first()?;
        // SAFETY: as `visit`.
        unsafe {
            if asks_box(*function, args) {
                return None;
            }
            let Some(function) = self.visit(*function, values, depth + 1) else {
                self.unknown(|| "a call of what is not known".to_owned());
                for arg in args {
                    self.operand(*arg, values, depth);
                }
                return None;
            };
            let name = if is_type(function) {
                type_name(function).map_or("", |name| symbol_str((*name).name))
            } else {
                symbol_str((*(*type_of(function)).name).name).trim_start_matches('#')
            };
            // `Module.name` is a global.
            if let ("getproperty" | "getfield", [of, field, ..]) = (name, args) {
                let of = self.visit(*of, values, depth + 1);
                let field = self.visit(*field, values, depth + 1);
                if let Some(module) = of.filter(|of| is(*of, jl_sys::jl_module_type)) {
                    let Some(field) = field.filter(|field| is(*field, jl_sys::jl_symbol_type)) else {
                        self.state(format!("a global of {}", module_path(module.cast())));
                        return None;
                    };
                    let value = self.global(module.cast(), field.cast())?;
                    self.value(value, symbol_str(field.cast()));
                    return Some(value);
                }
                return None;
            }
            if is_type(function) {
                match type_name(function) {
                    Some(name) => self.called(name),
                    None => self.unknown(|| "a union as a function".to_owned()),
                }
            } else if is(function, jl_sys::jl_intrinsic_type) {
                self.intrinsic(function);
            } else if jl_sys::jl_isa(function, jl_sys::jl_function_type.cast()) == 0 {
                self.called((*type_of(function)).name);
            }
            if HIGHER_ORDER.contains(&name) && args.len() > 1 && is_given(args[0]) {
                self.unknown(|| format!("what a function that {name} is given does"));
            }
            let mut given = Vec::with_capacity(args.len());
            for arg in args {
                let value = self.operand(*arg, values, depth);
                if !LOOKS.contains(&name) {
                    value.into_iter().for_each(|value| self.handed_on(value));
                }
                given.push(value);
            }
            let gives_type = name == "apply_type";
            gives_type.then(|| given.first().copied().flatten()).flatten()
        }
    }

    /// A type of a package, which whoever gets it may call.
    unsafe fn handed_on(&mut self, value: Value) {
        // SAFETY: as `visit`.
        unsafe {
            let name = is_type(value).then(|| type_name(value)).flatten();
            if let Some(name) = name.filter(|name| !self.states.sysimage.contains(&(*name as usize))) {
                self.called(name);
            }
        }
    }

    /// Those that read memory or run code of others.
    unsafe fn intrinsic(&mut self, function: Value) {
        // SAFETY: an intrinsic is its number.
        let name = unsafe {
            std::ffi::CStr::from_ptr(nativecache_runtime::julia::jl_intrinsic_name(*function.cast::<i32>()))
                .to_string_lossy()
        };
        if STATEFUL.contains(&&*name) {
            self.state(format!("what {name} gives"));
        }
    }

    /// The value of a constant.
    unsafe fn global(&mut self, module: *mut jl_module_t, name: *mut jl_sys::jl_sym_t) -> Option<Value> {
        // SAFETY: as `visit`.
        unsafe {
            let binding = jl_get_binding(module, name);
            let text = || format!("{}.{}", module_path(module), symbol_str(name));
            if binding.is_null() || (*binding).value.is_null() {
                self.undefined.get_or_insert_with(text);
                return None;
            }
            if (*binding).constp == 0 {
                self.state(text());
                return None;
            }
            if self.states.made.has_constant(symbol_str(name)) {
                self.state(text());
            }
            Some((*binding).value)
        }
    }

    /// A constant that is used as a value, or called.
    unsafe fn value(&mut self, value: Value, name: &'static str) {
        // SAFETY: `value` is live.
        unsafe {
            let ty = type_of(value);
            if is_type(value)
                || is(value, jl_sys::jl_module_type)
                || is(value, jl_sys::jl_intrinsic_type)
                || is(value, jl_sys::jl_symbol_type)
                || is(value, jl_sys::jl_string_type)
            {
                return;
            }
            if jl_sys::jl_isa(value, jl_sys::jl_function_type.cast()) != 0 {
                return self.called((*ty).name);
            }
            if STATEFUL.contains(&symbol_str((*(*ty).name).name)) || is_mutable_within(value, 0) {
                return self.state(name.to_owned());
            }
            if (*ty).instance != value && !self.states.sysimage.contains(&(value as usize)) {
                self.found.constants.insert(name, value);
            }
        }
    }

    /// A function, by its type's name, or a type that is called.
    unsafe fn called(&mut self, name: *mut jl_typename_t) {
        if !self.seen.insert(name as usize) {
            return;
        }
        self.alive.insert(name as usize);
        // SAFETY: type names and their tables are live.
        unsafe {
            let text = symbol_str((*name).name).trim_start_matches('#');
            let of_sysimage = self.states.sysimage.contains(&(name as usize));
            if of_sysimage {
                let module = module_path((*name).module);
                let stateful = |listed: &str| {
                    module == listed || module.strip_prefix(listed).is_some_and(|rest| rest.starts_with('.'))
                };
                if STATEFUL.contains(&text) || STATEFUL_MODULES.iter().any(|listed| stateful(listed)) {
                    return self.state(format!("what {module}.{text} gives"));
                }
                let basic = module == "Core" || module == "Base" || module.starts_with("Base.");
                if !basic || !HARMLESS.contains(&text) {
                    self.unknown(|| format!("{module}.{text}"));
                }
            }
            let mut found = Vec::new();
            let table = (*name).mt;
            if !table.is_null() && table.cast() != jl_sys::jl_nothing {
                inspect::visit_typemap((*table).defs, &mut |entry| {
                    let method = (*entry).func.value;
                    if is(method, jl_sys::jl_method_type) {
                        found.push(method.cast::<jl_method_t>());
                    }
                });
            }
            // Its constructors, and those of what it is a subtype of.
            let mut of = Some(name);
            for _ in 0..100 {
                let Some(name) = of else { break };
                found.extend(self.states.constructors.get(&(name as usize)).into_iter().flatten());
                let parent = unwrapped((*name).wrapper).map(|ty| (*ty).super_);
                of = parent
                    .filter(|parent| !parent.is_null())
                    .map(|parent| (*parent).name)
                    .filter(|parent| *parent != name);
            }
            found.extend(self.states.constructors.get(&ANY_TYPE).into_iter().flatten());
            for method in found {
                // What other packages add to a function of the sysimage is for types of theirs.
                let counts = !self.states.sysimage.contains(&(method as usize))
                    && (!of_sysimage || root_module((*method).module) == self.root);
                if counts && self.is_reached(method) {
                    self.add_method(method);
                } else if counts {
                    self.waiting.push(method);
                }
            }
        }
    }
}

/// What a parameter of a signature may be given.
enum Accepts {
    /// Types.
    Types,
    /// Objects of this type of a package, or of its subtypes.
    Object(*mut jl_typename_t),
    /// Objects of a type of the sysimage that has no subtypes in packages.
    Plain,
    /// What one of these may be given.
    Either(Vec<Value>),
    /// Any object that a package may have.
    Anything,
}

impl Accepts {
    /// # Safety
    /// `ty` is a live type or type variable.
    unsafe fn of(ty: Value, sysimage: &Range<usize>) -> Self {
        // SAFETY: kinds are checked before casts; a Union is (a, b).
        unsafe {
            let ty = bound_of(ty);
            if is(ty, jl_sys::jl_uniontype_type) {
                let union = &*ty.cast::<jl_sys::jl_uniontype_t>();
                return Self::Either(vec![union.a, union.b]);
            }
            if !is(ty, jl_sys::jl_datatype_type) {
                return Self::Anything;
            }
            let datatype = ty.cast::<jl_datatype_t>();
            let name = (*datatype).name;
            let wrapper_name = |ty: *mut jl_sys::jl_unionall_t| type_name(ty.cast());
            if Some(name) == wrapper_name(jl_sys::jl_type_type) {
                return Self::Types;
            }
            if name == jl_sys::jl_vararg_typename {
                return svec_items((*datatype).parameters)
                    .first()
                    .map_or(Self::Anything, |of| Self::Either(vec![*of]));
            }
            if name == jl_sys::jl_tuple_typename {
                return Self::Either(svec_items((*datatype).parameters).to_vec());
            }
            if !sysimage.contains(&(name as usize)) {
                return Self::Object(name);
            }
            // What has no fields and no subtypes holds nothing of packages.
            let plain = (*datatype).abstract_ == 0 && svec_items((*datatype).parameters).is_empty();
            if plain && !(*datatype).layout.is_null() && (*(*datatype).layout).npointers == 0 {
                return Self::Plain;
            }
            Self::Anything
        }
    }
}

/// The key of constructors of which it is not known what types they are for.
const ANY_TYPE: usize = 0;

/// The names of the types that a constructor with this signature is for; [`ANY_TYPE`] if that could not be found out.
///
/// # Safety
/// `sig` is the signature of a live method.
unsafe fn constructed(sig: Value, found: &mut HashSet<usize>) {
    // SAFETY: as the caller says; kinds are checked before casts.
    unsafe {
        let mut pending: Vec<(Value, bool)> =
            signature_parameters(sig).first().map(|first| (*first, false)).into_iter().collect();
        if pending.is_empty() {
            found.insert(ANY_TYPE);
        }
        let mut steps = 0;
        while let Some((ty, within)) = pending.pop() {
            steps += 1;
            if steps > 100 {
                found.insert(ANY_TYPE);
                return;
            }
            let ty = bound_of(ty);
            if is(ty, jl_sys::jl_uniontype_type) {
                let union = &*ty.cast::<jl_sys::jl_uniontype_t>();
                pending.extend([(union.a, within), (union.b, within)]);
            } else if !is(ty, jl_sys::jl_datatype_type) {
                found.insert(ANY_TYPE);
            } else if within {
                found.insert((*ty.cast::<jl_datatype_t>()).name as usize);
            } else if type_name(jl_sys::jl_type_type.cast()) == Some((*ty.cast::<jl_datatype_t>()).name) {
                match svec_items((*ty.cast::<jl_datatype_t>()).parameters).first() {
                    Some(of) => pending.push((*of, true)),
                    None => _ = found.insert(ANY_TYPE),
                }
            } else {
                found.insert(ANY_TYPE); // of `DataType`, `UnionAll` or another kind
            }
        }
    }
}

/// What a type with variables, or a variable, says at most: the type within, or its upper bound.
///
/// # Safety
/// `ty` is a live type or type variable.
unsafe fn bound_of(mut ty: Value) -> Value {
    // SAFETY: kinds are checked before casts.
    unsafe {
        for _ in 0..40 {
            if is(ty, jl_sys::jl_unionall_type) {
                ty = (*ty.cast::<jl_sys::jl_unionall_t>()).body;
            } else if is(ty, jl_sys::jl_tvar_type) {
                ty = (*ty.cast::<jl_sys::jl_tvar_t>()).ub;
            } else {
                break;
            }
        }
        ty
    }
}

/// The parameters of a method's signature.
///
/// # Safety
/// `sig` is the signature of a live method.
unsafe fn signature_parameters(sig: Value) -> Vec<Value> {
    // SAFETY: as the caller says.
    unsafe { unwrapped(sig).map_or_else(Vec::new, |tuple| svec_items((*tuple).parameters).to_vec()) }
}

/// Can objects of this type, whatever its parameters, hold no other object?
///
/// # Safety
/// `ty` is live.
unsafe fn holds_nothing(ty: *mut jl_datatype_t) -> bool {
    // SAFETY: as the caller says; a type with a layout has its field types.
    unsafe {
        if (*ty).abstract_ != 0 || (*ty).types.is_null() {
            return false;
        }
        svec_items((*ty).types).is_empty() || (!(*ty).layout.is_null() && (*(*ty).layout).npointers == 0)
    }
}

/// The type within UnionAlls.
///
/// # Safety
/// `ty` is a live type.
unsafe fn unwrapped(mut ty: Value) -> Option<*mut jl_datatype_t> {
    // SAFETY: kinds are checked before casts.
    unsafe {
        while is(ty, jl_sys::jl_unionall_type) {
            ty = (*ty.cast::<jl_sys::jl_unionall_t>()).body;
        }
        is(ty, jl_sys::jl_datatype_type).then_some(ty.cast())
    }
}

/// Is this operand a variable or type parameter, which may hold any function?
unsafe fn is_given(operand: Value) -> bool {
    // SAFETY: kinds are checked before casts.
    unsafe {
        let is_parameter = is(operand, jl_sys::jl_expr_type)
            && symbol_str((*operand.cast::<jl_expr_t>()).head) == "static_parameter";
        is_parameter || symbol_str((*(*type_of(operand)).name).name) == "SlotNumber"
    }
}

/// `Core.isdefined(box, :contents)`: what lowering makes of a captured variable that may have no value yet. Written in source,
/// `isdefined` is a name of the module that it stands in, and `Core.isdefined` a `getproperty`.
unsafe fn asks_box(function: Value, args: &[Value]) -> bool {
    // SAFETY: kinds are checked before casts; a GlobalRef is (module, name), a QuoteNode (value).
    unsafe {
        let [of, field] = args else { return false };
        if !is(function, jl_sys::jl_globalref_type) || !is(*field, jl_sys::jl_quotenode_type) {
            return false;
        }
        let (module, name) = (*function.cast::<Value>(), *function.cast::<Value>().add(1));
        let field = *field.cast::<Value>();
        module == jl_sys::jl_core_module.cast()
            && symbol_str(name.cast()) == "isdefined"
            && is(field, jl_sys::jl_symbol_type)
            && symbol_str(field.cast()) == "contents"
            && (is(*of, jl_sys::jl_ssavalue_type) || symbol_str((*(*type_of(*of)).name).name) == "SlotNumber")
    }
}

/// Is it mutable, or does it hold what is?
unsafe fn is_mutable_within(value: Value, depth: u32) -> bool {
    if value.is_null() || depth > 12 {
        return true;
    }
    // SAFETY: `value` is live; fields are where its type's layout says.
    unsafe {
        let ty = type_of(value);
        let named = is_type(value)
            || is(value, jl_sys::jl_symbol_type)
            || is(value, jl_sys::jl_string_type)
            || is(value, jl_sys::jl_module_type);
        if named {
            return false;
        }
        if is(value, jl_sys::jl_simplevector_type) {
            return svec_items(value.cast()).iter().any(|item| is_mutable_within(*item, depth + 1));
        }
        if (*ty).mutabl != 0 || (*ty).layout.is_null() {
            return true;
        }
        (0..(*(*ty).layout).nfields).any(|index| match layout::field(ty, index) {
            Some((offset, true)) => {
                is_mutable_within(*value.cast::<u8>().add(offset).cast::<Value>(), depth + 1)
            }
            Some((_, false)) => holds_boxes(ty, index),
            None => true,
        })
    }
}

/// Is this inline field one that holds references, which are not looked through?
unsafe fn holds_boxes(ty: *mut jl_datatype_t, index: u32) -> bool {
    // SAFETY: a type with a layout has its field types.
    unsafe {
        if (*ty).types.is_null() {
            return false;
        }
        svec_items((*ty).types).get(index as usize).is_some_and(|field| {
            is(*field, jl_sys::jl_datatype_type)
                && !(*field.cast::<jl_datatype_t>()).layout.is_null()
                && (*(*field.cast::<jl_datatype_t>()).layout).npointers > 0
        })
    }
}
