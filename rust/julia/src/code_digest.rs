//! A digest of lowered code that two processes share if the code says the same.
//!
//! What has an identity of its own (a mutable object, a method) has none; names that `gensym` makes are
//! numbered differently in every process and count as equal.

use crate::handles::{
    CodeInfo, DataType, Expr, GlobalRef, Kind, Method, Module, Object, QuoteNode, SVec, Symbol, Text,
    TypeVar, Union, UnionAll,
};

/// FNV-1a over words: fast on few words, and the same in every process.
pub struct Mix(u64);

impl Mix {
    /// A digest of this number, so far.
    pub fn new(seed: u64) -> Self {
        Mix(seed)
    }

    /// Adds a number.
    pub fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Adds bytes, and how many they are.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> u64 {
        self.0
    }
}

/// Adds a method's signature and lowered code; `None` if it has none, or refers to what has no digest.
pub fn add_source(method: Method<'_>, mix: &mut Mix) -> Option<()> {
    let code = CodeInfo::of_method(method)?;
    digest(method.signature(), mix, 0)?;
    for number in [method.argument_count(), method.nospecialize(), method.keyword_count()] {
        mix.add(u64::from(number.cast_unsigned()));
    }
    mix.add(u64::from(method.is_vararg()) << 1 | u64::from(method.is_pure()));
    add_code(code, mix)
}

/// Adds the statements of lowered code; `None` if one has no digest.
pub fn add_code(code: CodeInfo<'_>, mix: &mut Mix) -> Option<()> {
    let statements = code.statements()?;
    mix.add(statements.len() as u64);
    statements.places().try_for_each(|statement| digest(statement?, mix, 0))
}

/// Adds a symbol, string, module or type; false if it is none of them.
pub fn add_name(object: Object<'_>, mix: &mut Mix) -> bool {
    let named =
        object.is_type() || object.is::<Symbol<'_>>() || object.is::<Text<'_>>() || object.is::<Module<'_>>();
    if named && digest(object, mix, 0).is_none() {
        // Types with parameters that have no digest: the same process-independent word for all.
        mix.add(1);
    }
    named
}

/// Expression trees are no deeper than this.
const MAX_DEPTH: u32 = 200;

fn digest(object: Object<'_>, mix: &mut Mix, depth: u32) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(symbol) = object.as_kind::<Symbol<'_>>() {
        let name = symbol.as_str();
        mix.add_bytes(if name.starts_with("##") { b"##" } else { name.as_bytes() });
    } else if object.is_type() {
        return digest_type(object, mix, depth);
    } else if let Some(variable) = object.as_kind::<TypeVar<'_>>() {
        mix.add_bytes(variable.name().as_str().as_bytes());
        // A bound may mention the variable itself; its depth ends that.
        return variable.bounds().into_iter().try_for_each(|bound| digest(bound, mix, depth + 1));
    } else if let Some(items) = object.as_kind::<SVec<'_>>() {
        mix.add(items.len() as u64);
        return items.places().try_for_each(|item| digest(item?, mix, depth + 1));
    } else if let Some(text) = object.as_kind::<Text<'_>>() {
        mix.add_bytes(text.bytes());
    } else if let Some(module) = object.as_kind::<Module<'_>>() {
        mix.add_bytes(module.path().as_bytes());
        mix.add(module.root().build_id());
    } else if let Some(expr) = object.as_kind::<Expr<'_>>() {
        mix.add_bytes(expr.head().as_str().as_bytes());
        mix.add(expr.arguments().map_or(0, |arguments| arguments.len() as u64));
        return expr.argument_places().try_for_each(|argument| digest(argument?, mix, depth + 1));
    } else if object.is_line_number() {
        mix.add(0);
    } else {
        return digest_fields(object, mix, depth);
    }
    Some(())
}

/// Adds an immutable value.
fn digest_fields(object: Object<'_>, mix: &mut Mix, depth: u32) -> Option<()> {
    let ty = object.type_of();
    let is_code = object.is::<GlobalRef<'_>>() || object.is::<QuoteNode<'_>>();
    if ty.is_mutable() && !is_code {
        return None;
    }
    digest_type(ty.into(), mix, depth)?;
    let count = u32::try_from(ty.field_count()?).ok()?;
    if !ty.has_references() {
        // Padding is not part of the value, and an address is another one in each process.
        if ty.has_padding() || ty.holds_address() {
            return None;
        }
        mix.add_bytes(object.plain_bytes()?);
        return Some(());
    }
    for index in 0..count {
        if !ty.field(index)?.is_reference {
            return None;
        }
        digest(object.reference(index)?, mix, depth + 1)?;
    }
    Some(())
}

fn digest_type(ty: Object<'_>, mix: &mut Mix, depth: u32) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(union) = ty.as_kind::<Union<'_>>() {
        mix.add_bytes(b"Union");
        return union.members().into_iter().try_for_each(|member| digest(member, mix, depth + 1));
    }
    if let Some(all) = ty.as_kind::<UnionAll<'_>>() {
        mix.add_bytes(b"where");
        digest(all.variable().into(), mix, depth + 1)?;
        return digest(all.body(), mix, depth + 1);
    }
    let Some(ty) = DataType::of(ty) else {
        mix.add_bytes(b"Union{}");
        return Some(());
    };
    mix.add_bytes(ty.name().as_str().as_bytes());
    mix.add_bytes(ty.name().module().path().as_bytes());
    ty.parameters().places().try_for_each(|parameter| digest(parameter?, mix, depth + 1))
}
