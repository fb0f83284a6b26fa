//! Which functions of the sysimage read state, and which do not: by name, since their code is not looked through.

/// What a function does with what it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum With {
    /// It may hand it on, or call a type that it is given.
    Uses,
    /// It calls its first argument.
    Calls,
    /// It looks at a type that it is given and does not call it.
    Looks,
}

use With::{Calls, Looks, Uses};

/// Functions and types of Core and Base that give the same for the same arguments.
#[rustfmt::skip]
const HARMLESS: &[(&str, With)] = &[
    ("!", Uses), ("!=", Uses), ("!==", Looks), ("%", Uses), ("&", Uses), ("*", Uses), ("+", Uses),
    ("-", Uses), ("/", Uses), ("<", Uses), ("<:", Looks), ("<<", Uses), ("<=", Uses), ("==", Looks),
    ("===", Looks), (">", Uses), (">:", Looks), (">=", Uses), (">>", Uses), (">>>", Uses), ("|", Uses),
    ("xor", Uses), ("div", Uses), ("rem", Uses), ("mod", Uses), ("fld", Uses), ("cld", Uses), ("min", Uses),
    ("max", Uses), ("abs", Uses), ("sign", Uses), ("isequal", Uses), ("isless", Uses), ("cmp", Uses),
    ("zero", Uses), ("one", Uses), ("identity", Uses), ("ifelse", Uses), ("tuple", Uses), ("getindex", Uses),
    ("setindex!", Uses), ("length", Uses), ("size", Uses), ("axes", Uses), ("ndims", Uses), ("eltype", Looks),
    ("firstindex", Uses), ("lastindex", Uses), ("iterate", Uses), ("push!", Uses), ("pushfirst!", Uses),
    ("append!", Uses), ("pop!", Uses), ("popfirst!", Uses), ("prepend!", Uses), ("collect", Uses),
    ("collect_to!", Uses), ("map", Calls), ("ntuple", Calls), ("foldl", Calls), ("foldr", Calls),
    ("reduce", Calls), ("mapreduce", Calls), ("filter", Calls), ("any", Calls), ("all", Calls),
    ("sum", Calls), ("prod", Calls), ("maximum", Calls), ("minimum", Calls), ("enumerate", Uses),
    ("zip", Uses), ("reverse", Uses), ("in", Uses), ("isempty", Uses), ("first", Uses), ("last", Uses),
    ("tail", Uses), ("front", Uses), ("vcat", Uses), ("hcat", Uses), ("vect", Uses), ("copy", Uses),
    ("similar", Uses), ("fill", Uses), ("Colon", Uses), ("convert", Uses), ("promote_type", Uses),
    ("typejoin", Looks), ("typeintersect", Looks), ("isa", Looks), ("isconcretetype", Looks),
    ("isbitstype", Looks), ("isabstracttype", Uses), ("isprimitivetype", Uses), ("isbits", Uses),
    ("fieldcount", Looks), ("fieldnames", Looks), ("fieldname", Uses), ("fieldtype", Looks),
    ("fieldtypes", Uses), ("nfields", Uses), ("sizeof", Looks), ("unwrap_unionall", Uses),
    ("getproperty", Uses), ("setproperty!", Uses), ("Expr", Uses), ("QuoteNode", Uses),
    ("LineNumberNode", Uses), ("Generator", Calls), ("materialize", Uses), ("broadcasted", Calls),
    ("error", Uses), ("throw", Uses), ("ArgumentError", Uses), ("DimensionMismatch", Uses),
    ("BoundsError", Uses), ("indexed_iterate", Uses), ("values", Uses), ("keys", Uses), ("pairs", Uses),
    ("eachindex", Uses), ("Array", Uses), ("Tuple", Uses), ("NamedTuple", Uses), ("Val", Uses),
    ("Pair", Uses), ("Int64", Uses), ("Int32", Uses), ("UInt64", Uses), ("UInt8", Uses), ("Bool", Uses),
    ("Float64", Uses), ("Float32", Uses), ("typeof", Uses), ("Typeof", Uses), ("apply_type", Looks),
    ("getfield", Uses), ("setfield!", Uses), ("svec", Uses), ("typeassert", Looks), ("arrayref", Uses),
    ("arrayset", Uses), ("arraysize", Uses), ("_apply", Calls), ("_apply_iterate", Uses), ("_expr", Uses),
    ("UnitRange", Uses), ("OneTo", Uses),
];

/// Functions of the sysimage whose answers depend on the process, the machine or all that is loaded.
#[rustfmt::skip]
const STATEFUL: &[&str] = &[
    "nthreads", "threadid", "rand", "randn", "rand!", "time", "time_ns", "now", "today", "getpid",
    "gethostname", "open", "read", "readline", "readlines", "eachline", "isfile", "isdir", "ispath", "stat",
    "lstat", "mtime", "filesize", "readdir", "pwd", "homedir", "tempdir", "mktemp", "methods", "_methods",
    "_methods_by_ftype", "hasmethod", "which", "_which", "method_exists", "method_instances", "code_lowered",
    "code_typed", "get_world_counter", "names", "isconst", "isdefined", "eval", "include", "invokelatest",
    "run", "pathof", "pkgdir", "nprocs", "myid", "workers", "nworkers", "dlopen", "dlsym", "find_library",
    "unsafe_load", "unsafe_string", "loaded_modules_array", "root_module", "require", "identify_package",
    "displaysize", "task_local_storage", "current_task", "cglobal", "pointerref", "llvmcall", "EnvDict",
    "JLOptions",
];

/// Modules of the sysimage all of whose functions count as such.
#[rustfmt::skip]
const STATEFUL_MODULES: &[&str] = &[
    "Base.Threads", "Base.Sys", "Base.Filesystem", "Base.Libc", "Random", "Distributed", "Libdl", "Sockets",
    "Pkg",
];

/// What the function of Core or Base of this name does with what it is given, if it is known to read nothing.
pub(crate) fn harmless(name: &str) -> Option<With> {
    HARMLESS.iter().find(|(known, _)| *known == name).map(|(_, with)| *with)
}

/// Does the answer of the function, or do objects of the type, of this name depend on the process?
pub(crate) fn is_stateful(name: &str) -> bool {
    STATEFUL.contains(&name)
}

/// Does everything in this module, by its dotted path, count as such?
pub(crate) fn is_in_stateful_module(module: &str) -> bool {
    STATEFUL_MODULES.iter().any(|listed| {
        module == *listed || module.strip_prefix(listed).is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once() {
        let mut names: Vec<&str> =
            HARMLESS.iter().map(|(name, _)| *name).chain(STATEFUL.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn modules_count_with_what_is_in_them() {
        assert!(is_in_stateful_module("Base.Sys"));
        assert!(is_in_stateful_module("Pkg.Types"));
        assert!(!is_in_stateful_module("Base.Sysimage"));
        assert!(!is_in_stateful_module("Base"));
    }
}
