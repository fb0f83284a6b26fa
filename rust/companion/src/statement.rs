//! Signatures as text that reads back to the same type.
//!
//! What `--trace-compile` writes does not: a struct inside a type parameter, for one, is printed as no expression gives
//! it. The grammar here is a small part of Julia's, so that Julia's parser reads it; src/companion/statement.jl
//! evaluates what was parsed, and nothing but these forms:
//!
//! ```text
//! value  := path | path{value, ...} | typeof(path) | (value where variable) | Union{value, ...}
//!         | integer | true | false | nothing | :symbol | Symbol("text") | (value, ...)
//!         | bits(value, 0x...)            of a primitive type: the type and its bits
//!         | new(value, value, ...)        of an immutable type without pointers: the type and its fields
//! path   := Name | path.Name | getfield(path, Symbol("text"))
//! ```
//!
//! A path begins with a root module, or with a name of `Core`.

use std::fmt::Write as _;

use crate::layout::{Kind, Layout};
use crate::object::{DataType, Module, Object, TypeName};

/// Longer signatures are not worth a line.
const LONGEST: usize = 20_000;

/// How deep types may be nested.
const DEEPEST: usize = 100;

/// Why a signature has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unprintable {
    /// A type variable that nothing binds.
    #[error("a type variable is free")]
    FreeVariable,
    /// A parameter that is neither a type, a symbol nor plain bits.
    #[error("a type parameter is no plain value")]
    Value,
    /// Too long or nested too deeply.
    #[error("the signature is too long")]
    TooLong,
}

/// Prints one signature after the other.
pub(crate) struct Printer<'s, 'l> {
    layout: &'l Layout,
    out: String,
    /// Type variables in scope; each is called after its place.
    scope: Vec<Object<'s>>,
    depth: usize,
}

type Printed = Result<(), Unprintable>;

impl<'s, 'l> Printer<'s, 'l> {
    pub(crate) fn new(layout: &'l Layout) -> Self {
        Printer { layout, out: String::new(), scope: Vec::new(), depth: 0 }
    }

    /// The text of a type.
    ///
    /// # Errors
    /// If no expression of the grammar gives it.
    pub(crate) fn print(&mut self, value: Object<'s>) -> Result<String, Unprintable> {
        self.out.clear();
        self.scope.clear();
        self.depth = 0;
        self.value(value)?;
        Ok(std::mem::take(&mut self.out))
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Any type parameter.
    fn value(&mut self, value: Object<'s>) -> Printed {
        self.depth += 1;
        if self.depth > DEEPEST || self.out.len() > LONGEST {
            return Err(Unprintable::TooLong);
        }
        self.any_value(value)?;
        self.depth -= 1;
        Ok(())
    }

    fn any_value(&mut self, value: Object<'s>) -> Printed {
        if value.is_bottom() {
            self.push("Union{}");
            return Ok(());
        }
        if let Some(ty) = value.as_datatype() {
            return self.datatype(ty);
        }
        if value.as_union().is_some() {
            return self.union(value);
        }
        if let Some((variable, body)) = value.as_unionall() {
            return self.unionall(value, variable, body);
        }
        if value.as_type_variable().is_some() {
            return self.variable(value);
        }
        if value.is(self.layout, Kind::Vararg) {
            return self.vararg(value);
        }
        if let Some(module) = value.as_module() {
            self.module(module);
            return Ok(());
        }
        if let Some(symbol) = value.as_symbol() {
            self.symbol(symbol.bytes());
            return Ok(());
        }
        if value.is_nothing() {
            self.push("nothing");
            return Ok(());
        }
        let ty = value.own_type().and_then(Object::as_datatype).ok_or(Unprintable::Value)?;
        if !ty.is_bits() {
            // The names of a named tuple, say: symbols are pointers.
            return if ty.is_tuple() { self.tuple(value, ty) } else { Err(Unprintable::Value) };
        }
        // SAFETY: an object of a type without pointers is as many bytes as its type says.
        let bytes = unsafe { std::slice::from_raw_parts(value.as_ptr().cast::<u8>(), ty.size()) };
        self.bits(ty, bytes)
    }

    fn datatype(&mut self, ty: DataType<'s>) -> Printed {
        let name = ty.type_name().ok_or(Unprintable::Value)?;
        if ty.is_singleton() && self.is_function(name) {
            self.push("typeof(");
            self.path(name.module(), &name.name()[1..]);
            self.push(")");
            return Ok(());
        }
        self.path(name.module(), name.name());
        let parameters = ty.parameters();
        if parameters.is_empty() && !ty.is_tuple() {
            return Ok(());
        }
        self.list('{', &parameters, '}')
    }

    /// Was the type made for a function with a name? The parser puts `#` before that, and more of them into the names of
    /// closures.
    fn is_function(&self, name: TypeName<'s>) -> bool {
        let bytes = name.name();
        bytes.first() == Some(&b'#')
            && bytes.len() > 1
            && !bytes[1..].contains(&b'#')
            && !bytes[1..].iter().all(u8::is_ascii_digit)
    }

    fn list(&mut self, open: char, items: &[Object<'s>], close: char) -> Printed {
        self.out.push(open);
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                self.push(", ");
            }
            self.value(*item)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn union(&mut self, value: Object<'s>) -> Printed {
        let mut parts = Vec::new();
        let mut at = value;
        while let Some((a, b)) = at.as_union() {
            parts.push(a);
            at = b;
        }
        parts.push(at);
        self.push("Union");
        self.list('{', &parts, '}')
    }

    fn unionall(&mut self, whole: Object<'s>, variable: Object<'s>, body: Object<'s>) -> Printed {
        let mut inner = body;
        while let Some((_, body)) = inner.as_unionall() {
            inner = body;
        }
        if let Some(name) = inner.as_datatype().and_then(DataType::type_name) {
            if name.wrapper() == Some(whole) {
                self.path(name.module(), name.name());
                return Ok(());
            }
        }
        let (lower, upper) = variable.as_type_variable().ok_or(Unprintable::Value)?;
        self.push("(");
        self.scope.push(variable);
        self.value(body)?;
        self.push(" where ");
        // Bounds are outside of the variable's own scope, yet a place cannot be taken twice: it is the last.
        let name = self.scope.len();
        self.scope.pop();
        if !lower.is_bottom() {
            self.value(lower)?;
            self.push("<:");
        }
        let _ = write!(self.out, "T{name}");
        if !upper.is_any() {
            self.push("<:");
            self.value(upper)?;
        }
        self.push(")");
        Ok(())
    }

    fn variable(&mut self, variable: Object<'s>) -> Printed {
        let place =
            self.scope.iter().rposition(|known| *known == variable).ok_or(Unprintable::FreeVariable)?;
        let _ = write!(self.out, "T{}", place + 1);
        Ok(())
    }

    fn vararg(&mut self, value: Object<'s>) -> Printed {
        let [ty, count] = value.vararg_parts();
        let items: Vec<Object<'s>> = ty.into_iter().chain(count.filter(|_| ty.is_some())).collect();
        self.push("Vararg");
        if items.is_empty() {
            return Ok(());
        }
        self.list('{', &items, '}')
    }

    /// A tuple with fields that are no bits.
    fn tuple(&mut self, value: Object<'s>, ty: DataType<'s>) -> Printed {
        let fields = value.tuple_fields(ty).ok_or(Unprintable::Value)?;
        self.push("(");
        for (number, field) in fields.iter().enumerate() {
            if number > 0 {
                self.push(", ");
            }
            self.value(*field)?;
        }
        if fields.len() == 1 {
            self.push(",");
        }
        self.push(")");
        Ok(())
    }

    /// A value of `ty`, of which these are the bytes.
    fn bits(&mut self, ty: DataType<'s>, bytes: &[u8]) -> Printed {
        if ty.is_primitive() {
            return self.primitive(ty, bytes);
        }
        let fields = ty.inline_fields().ok_or(Unprintable::Value)?;
        let tuple = ty.is_tuple();
        self.push(if tuple { "(" } else { "new(" });
        if !tuple {
            self.datatype(ty)?;
        }
        for (number, (offset, field)) in fields.iter().enumerate() {
            if number > 0 || !tuple {
                self.push(", ");
            }
            let part = bytes.get(*offset..offset + field.size()).ok_or(Unprintable::Value)?;
            if !field.is_bits() {
                return Err(Unprintable::Value);
            }
            self.bits(*field, part)?;
        }
        if tuple && fields.len() == 1 {
            self.push(",");
        }
        self.push(")");
        Ok(())
    }

    fn primitive(&mut self, ty: DataType<'s>, bytes: &[u8]) -> Printed {
        let name = ty.type_name().ok_or(Unprintable::Value)?;
        let in_core = name.module().is_some_and(|module| module.name() == "Core");
        match (in_core, name.name(), bytes) {
            (true, b"Bool", [bit]) => self.push(if *bit & 1 == 1 { "true" } else { "false" }),
            (true, b"Int64", _) => {
                let number = bytes.try_into().map(i64::from_ne_bytes).map_err(|_| Unprintable::Value)?;
                let _ = write!(self.out, "{number}");
            }
            _ => {
                self.push("bits(");
                self.datatype(ty)?;
                self.push(", 0x");
                for byte in bytes.iter().rev() {
                    let _ = write!(self.out, "{byte:02x}");
                }
                self.push(")");
            }
        }
        Ok(())
    }

    fn symbol(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) if is_plain(text) => {
                let _ = write!(self.out, ":{text}");
            }
            _ => self.quoted_symbol(bytes),
        }
    }

    fn quoted_symbol(&mut self, bytes: &[u8]) {
        self.push("Symbol(\"");
        self.out.push_str(&escape(bytes));
        self.push("\")");
    }

    fn module(&mut self, module: Module<'s>) {
        let parent = module.parent();
        // Base is the child of Main in some versions and a root in others: by itself it names itself.
        if parent.address() == module.address() || module.name() == "Base" {
            self.push(module.name());
        } else {
            self.path(Some(parent), module.name().as_bytes());
        }
    }

    /// A name in a module.
    fn path(&mut self, module: Option<Module<'s>>, name: &[u8]) {
        let plain = std::str::from_utf8(name).ok().filter(|name| is_plain(name));
        let in_core = module.is_some_and(|module| {
            module.name() == "Core" && module.parent().address() == module.address()
                || module.name() == "Core" && module.parent().name() == "Main"
        });
        match (module, plain) {
            (Some(_), Some(name)) if in_core => self.push(name),
            (Some(module), Some(name)) => {
                self.module(module);
                self.push(".");
                self.push(name);
            }
            (Some(module), None) => {
                self.push("getfield(");
                self.module(module);
                self.push(", ");
                self.quoted_symbol(name);
                self.push(")");
            }
            (None, _) => self.quoted_symbol(name),
        }
    }
}

/// Is it a name that stands for itself behind a dot and behind a colon?
fn is_plain(name: &str) -> bool {
    // Keywords are no names behind a colon in all versions; none of them is worth a case.
    const KEYWORDS: [&str; 26] = [
        "begin",
        "while",
        "if",
        "for",
        "try",
        "return",
        "break",
        "continue",
        "function",
        "macro",
        "quote",
        "let",
        "local",
        "global",
        "const",
        "do",
        "struct",
        "module",
        "baremodule",
        "using",
        "import",
        "export",
        "end",
        "else",
        "where",
        "in",
    ];
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '!')
        && !KEYWORDS.contains(&name)
        && !matches!(
            name,
            "elseif"
                | "catch"
                | "finally"
                | "isa"
                | "outer"
                | "mutable"
                | "abstract"
                | "primitive"
                | "type"
                | "true"
                | "false"
                | "nothing"
                | "var"
                | "new"
                | "bits"
                | "typeof"
                | "getfield"
                | "Symbol"
                | "T"
        )
}

/// The inside of a string literal that gives these bytes. Only printable ASCII stands for itself, so a line stays a line.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    for byte in bytes {
        match byte {
            b'\\' | b'"' | b'$' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_line_or_a_literal_is_escaped() {
        assert_eq!(escape(b"a\"b\\c$d\te\n"), "a\\\"b\\\\c\\$d\\x09e\\x0a");
        assert_eq!(escape("é".as_bytes()), "\\xc3\\xa9");
    }

    #[test]
    fn names_that_need_no_quotes() {
        assert!(is_plain("map!") && is_plain("_x1"));
        assert!(!is_plain("+") && !is_plain("1a") && !is_plain("end") && !is_plain("#3#4") && !is_plain(""));
    }
}
