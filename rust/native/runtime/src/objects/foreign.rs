//! C functions and variables that inferred code names: what `ccall` and `cglobal` will look up.

use std::collections::HashMap;

use nativecache_julia::c_symbols;
use nativecache_julia::elf;
use nativecache_julia::handles::{Array, CodeInfo, Expr, GlobalRef, Object, QuoteNode, Symbol, Text};
use nativecache_julia::stopped::Stopped;

use crate::objects::resolve::c_symbol;
pub use nativecache_julia::c_symbols::JuliasOwn;

/// A symbol as `(library, name)`; no library means the process.
pub type Target = (Option<String>, String);

/// Addresses of this process that inferred code names.
#[derive(Default)]
pub struct ForeignTargets {
    by_address: HashMap<usize, Target>,
}

impl ForeignTargets {
    /// What the inferred code at this address named.
    pub fn get(&self, address: usize) -> Option<&Target> {
        self.by_address.get(&address)
    }

    /// Adds the targets in inferred code.
    pub fn add(&mut self, julia: &Stopped, code: CodeInfo<'_>) {
        for statement in code.statements().into_iter().flat_map(Array::items) {
            self.visit(julia, statement, 0);
        }
    }

    fn visit(&mut self, julia: &Stopped, node: Object<'_>, depth: u32) {
        let Some(expr) = node.as_kind::<Expr<'_>>().filter(|_| depth <= 64) else { return };
        if let Some((library, name)) = named_by(expr).and_then(static_target) {
            if let Ok(address) = c_symbol(julia, library.as_deref(), &name) {
                self.by_address.entry(address.as_ptr() as usize).or_insert((library, name));
            }
        }
        for argument in arguments(expr) {
            self.visit(julia, argument, depth + 1);
        }
    }
}

fn arguments(expr: Expr<'_>) -> impl Iterator<Item = Object<'_>> {
    expr.arguments().into_iter().flat_map(Array::items)
}

/// What stands for the C symbol in a `ccall` or `cglobal`.
fn named_by<'j>(expr: Expr<'j>) -> Option<Object<'j>> {
    let arguments = expr.arguments()?;
    match expr.head().as_str() {
        "foreigncall" => arguments.get(0),
        "call" if arguments.get(0).is_some_and(is_cglobal) => arguments.get(1),
        _ => None,
    }
}

/// Is it the intrinsic `cglobal`, or a global of this name?
pub(super) fn is_cglobal(function: Object<'_>) -> bool {
    match function.as_kind::<GlobalRef<'_>>() {
        Some(global) => global.name().is_some_and(|name| name.as_str() == "cglobal"),
        None => function.intrinsic_name() == Some("cglobal"),
    }
}

/// The target as ccall.cpp's `interpret_symbol_arg` reads it, for the forms that are constants.
fn static_target(argument: Object<'_>) -> Option<Target> {
    if let Some(name) = text(argument) {
        return Some((None, name));
    }
    if let Some(quoted) = argument.as_kind::<QuoteNode<'_>>() {
        return static_target(quoted.value()?);
    }
    if let Some(expr) = argument.as_kind::<Expr<'_>>() {
        let parts = expr.arguments().filter(|_| expr.head().as_str() == "call")?;
        return match parts.len() {
            2 => Some((None, text(parts.get(1)?)?)),
            3 => Some((Some(text(parts.get(2)?)?), text(parts.get(1)?)?)),
            _ => None,
        };
    }
    let tuple = argument.type_of().is_tuple().then_some(argument)?;
    match tuple.type_of().field_count()? {
        1 => Some((None, text(tuple.reference(0)?)?)),
        2 => Some((Some(text(tuple.reference(1)?)?), text(tuple.reference(0)?)?)),
        _ => None,
    }
}

/// A symbol or string, as itself, quoted, or as a constant's name.
fn text(object: Object<'_>) -> Option<String> {
    if let Some(symbol) = object.as_kind::<Symbol<'_>>() {
        return Some(symbol.as_str().to_owned());
    }
    if let Some(string) = object.as_kind::<Text<'_>>() {
        return String::from_utf8(string.bytes().to_vec()).ok();
    }
    if let Some(quoted) = object.as_kind::<QuoteNode<'_>>() {
        return text(quoted.value()?);
    }
    let global = object.as_kind::<GlobalRef<'_>>()?;
    text(global.module()?.binding(global.name()?)?.constant()?)
}

/// The exported symbol that begins at exactly this address, as the dynamic linker names it.
pub fn exported_symbol(address: usize) -> Option<Target> {
    let (symbol, start) = elf::symbol_before(address)?;
    if start != address {
        return None;
    }
    let name = symbol.to_str().ok()?.to_owned();
    // What the process's own scope finds needs no library.
    let found = c_symbols::in_process(symbol)?.as_ptr() as usize;
    (found == address).then_some((None, name))
}
