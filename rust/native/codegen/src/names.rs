//! Names that are the same in every process.
//!
//! Julia numbers what it emits with one counter for the whole process. So the numbers depend on what was compiled
//! before, but their order within one module does not.

use nativecache_mutation::mutation;

/// Splits a name into the name without its number, and the number.
pub(crate) fn split(name: &str) -> (&str, Option<u64>) {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.get(base.len()..).and_then(|digits| digits.parse().ok());
    // The body of an `llvmcall` is named after the function that contains it: `julia_f_12u0` (ccall.cpp,
    // `emit_llvmcall`).
    if let (Some(owner), Some(_)) = (base.strip_suffix('u'), number) {
        if let (of, Some(number)) = mutation!(
            "names: the body of an llvmcall has the number of its owner",
            split(owner),
            (owner, None)
        ) {
            return (of, Some(number));
        }
    }
    match number {
        Some(number) => (base.strip_suffix('_').unwrap_or(base), Some(number)),
        // No digits, or so many that they cannot be a counter.
        None => (name, None),
    }
}

/// The key by which names are sorted into the order of emission. A wrapper may have the number of the function that
/// follows it. What is named after a function comes behind it.
pub(crate) fn emission_order(name: &str) -> (u64, &str, &str) {
    let (base, number) = split(name);
    (number.unwrap_or(u64::MAX), base, name)
}

/// Replaces the number in a name by a position in the module.
pub(crate) fn numbered(name: &str, position: usize) -> String {
    let (base, _) = split(name);
    format!("{}_{position}", if base.is_empty() { "data" } else { base })
}
