//! Names, symbols and strings as the words of a signature, each on one line and each as Julia's parser reads it.
//!
//! The grammar is in docs/profiles.md, "The words of a signature".

use nativecache_mutation::mutation;
use std::fmt::Write as _;

/// Names that are no names to the parser. `:true` is `true`, and the field `end` of a module cannot be written plainly.
const RESERVED: [&str; 36] = [
    "abstract",
    "baremodule",
    "begin",
    "break",
    "catch",
    "const",
    "continue",
    "do",
    "else",
    "elseif",
    "end",
    "export",
    "false",
    "finally",
    "for",
    "function",
    "global",
    "if",
    "import",
    "in",
    "isa",
    "let",
    "local",
    "macro",
    "module",
    "mutable",
    "primitive",
    "quote",
    "return",
    "struct",
    "true",
    "try",
    "type",
    "using",
    "where",
    "while",
];

/// Operators that `M.:(+)` names. Any other name can be quoted as well: these are what `--trace-compile` writes so.
const OPERATORS: [&str; 45] = [
    "+", "-", "*", "/", "\\", "^", "<", ">", "<=", ">=", "==", "!=", "===", "!==", "!", "~", "&", "|", "%",
    "<<", ">>", ">>>", "//", "|>", "<:", ">:", "÷", "⊻", "∘", "≤", "≥", "≠", "≡", "≢", "∈", "∉", "∋", "∌",
    "⊆", "⊇", "⊈", "⊉", "∪", "∩", "√",
];

/// What the parser takes for a name as it stands. Letters beyond ASCII are not among them: the parser normalises those.
#[must_use]
pub fn is_plain(name: &[u8]) -> bool {
    let Some(first) = name.first() else { return false };
    (first.is_ascii_alphabetic() || *first == b'_')
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'!'))
        && mutation!(
            "signatures: reserved words are names",
            !RESERVED.iter().any(|word| word.as_bytes() == name),
            true
        )
}

/// What `var"..."` can hold as it stands: it has no escapes for anything but the quote.
fn is_quotable(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| {
        !name.is_empty() && !name.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))
    })
}

/// A name that stands alone: a variable, a field. `None` if it cannot be written.
#[must_use]
pub fn name(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    if is_plain(name) {
        Some(text.to_owned())
    } else {
        is_quotable(name).then(|| format!("var\"{text}\""))
    }
}

/// What `path` has under a name.
#[must_use]
pub fn member(path: &str, name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if is_plain(name) => format!("{path}.{text}"),
        Ok(text) if OPERATORS.contains(&text) => format!("{path}.:({text})"),
        Ok(text) if is_quotable(name) => format!("{path}.var\"{text}\""),
        _ => format!("getfield({path}, {})", symbol(name)),
    }
}

/// A symbol.
#[must_use]
pub fn symbol(name: &[u8]) -> String {
    if is_plain(name) {
        format!(":{}", String::from_utf8_lossy(name))
    } else {
        format!("Symbol({})", string(name))
    }
}

/// A string literal of these bytes, on one line.
#[must_use]
pub fn string(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Writing to a String cannot fail.
            let _ = match c {
                '"' | '\\' | '$' => write!(out, "\\{c}"),
                '\n' => write!(out, "\\n"),
                '\t' => write!(out, "\\t"),
                '\r' => write!(out, "\\r"),
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                    write!(out, "\\u{:04x}", c as u32)
                }
                c => write!(out, "{c}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// A 64-bit float with a point or an exponent; `None` for what has no literal.
#[must_use]
pub fn float64(value: f64) -> Option<String> {
    mutation!("signatures: any float has a literal", value.is_finite(), true).then(|| format!("{value:?}"))
}

/// A 32-bit float likewise. Julia may read it by way of 64 bits: what that would round twice has no literal.
#[must_use]
pub fn float32(value: f32) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let digits = format!("{value:?}");
    let through = digits.parse::<f64>().ok()? as f32;
    (through.to_bits() == value.to_bits()).then(|| {
        if digits.contains('e') {
            digits.replace('e', "f")
        } else {
            format!("{digits}f0")
        }
    })
}

/// Escapes a lasting name for `var"..."`. It is put away before Julia's parser sees it, so the rules are our own.
#[must_use]
pub fn quote_lasting(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The name up to the closing quote, and how much of `text` that is with the quote.
#[must_use]
pub fn unquote_lasting(text: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                name.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((name, at + 1)),
            c => name.push(c),
        }
    }
    None
}

/// A piece of a signature's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands: brackets, numbers, string literals, symbols.
    Text(&'a str),
    /// `A.B.var"name"`: a chain of names, with its text.
    Path(Vec<String>, &'a str),
}

/// The pieces of a text, in order; together they are the text. Names inside of string literals are none.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let Some(c) = rest.chars().next() else { break };
        if let Some((names, length)) = path(rest) {
            if plain < at {
                out.push(Piece::Text(&text[plain..at]));
            }
            out.push(Piece::Path(names, &rest[..length]));
            at += length;
            plain = at;
        } else if c == '"' {
            at += 1 + unquote_lasting(&rest[1..]).map_or(rest.len() - 1, |(_, length)| length);
        } else if let Some(quoted) = ["'\"'", "'\\\"'"].iter().find(|quoted| rest.starts_with(**quoted)) {
            at += quoted.len();
        } else if c.is_ascii_digit() {
            at += rest.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(rest.len());
        } else {
            at += c.len_utf8();
        }
    }
    if plain < text.len() {
        out.push(Piece::Text(&text[plain..]));
    }
    out
}

/// The chain of names that a text begins with, and its length.
fn path(text: &str) -> Option<(Vec<String>, usize)> {
    let (first, mut length) = component(text)?;
    let mut names = vec![first];
    while let Some((next, more)) = text[length..].strip_prefix('.').and_then(component) {
        names.push(next);
        length += 1 + more;
    }
    Some((names, length))
}

fn component(text: &str) -> Option<(String, usize)> {
    if let Some(quoted) = text.strip_prefix("var\"") {
        let (name, length) = unquote_lasting(quoted)?;
        return Some((name, 4 + length));
    }
    let first = text.chars().next()?;
    if !(first.is_alphabetic() || first == '_') {
        return None;
    }
    let length = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '!'))).unwrap_or(text.len());
    Some((text[..length].to_owned(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_literal_is_on_one_line() {
        assert_eq!(symbol(b"abc!"), ":abc!");
        for reserved in ["end", "true", "while"] {
            assert_eq!(symbol(reserved.as_bytes()), format!("Symbol(\"{reserved}\")"));
        }
        assert_eq!(symbol(b"a\tb\n$\"\\\xff\x01"), r#"Symbol("a\tb\n\$\"\\\xff\u0001")"#);
        assert_eq!(symbol("é".as_bytes()), "Symbol(\"é\")");
        assert_eq!(symbol(b""), "Symbol(\"\")");
    }

    #[test]
    fn members_are_named_or_asked_for() {
        assert_eq!(member("A", b"f"), "A.f");
        assert_eq!(member("A", b"+"), "A.:(+)");
        assert_eq!(member("A", b"end"), "A.var\"end\"");
        assert_eq!(member("A", b"#3#4"), "A.var\"#3#4\"");
        assert_eq!(member("A", b"a\tb"), r#"getfield(A, Symbol("a\tb"))"#);
        assert_eq!(member("A", b"a\\"), r#"getfield(A, Symbol("a\\"))"#);
        assert_eq!(name(b"a\"b"), None);
    }

    #[test]
    fn floats_are_read_back() {
        for value in [0.1, -0.0, 1e300, 5e-324, 1.0, -123_456_789.123] {
            assert_eq!(float64(value).unwrap().parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(float64(f64::NAN), None);
        assert_eq!(float32(1.5).unwrap(), "1.5f0");
        assert_eq!(float32(1e-30).unwrap(), "1f-30");
        assert_eq!(float32(-0.0).unwrap(), "-0.0f0");
        assert_eq!(float32(f32::INFINITY), None);
    }

    #[test]
    fn paths_are_found_outside_of_literals() {
        let text = r##"Tuple{A.B_1.var"#1 of T{\"x\"}", Symbol("C.var\"#2\""), :d, 1.5, '"', E.:(+)}"##;
        let found = pieces(text);
        let paths: Vec<String> = found
            .iter()
            .filter_map(|piece| match piece {
                Piece::Path(names, _) => Some(names.join("/")),
                Piece::Text(_) => None,
            })
            .collect();
        assert_eq!(paths, ["Tuple", "A/B_1/#1 of T{\"x\"}", "Symbol", "d", "E"]);
        let together: String = found
            .iter()
            .map(|piece| match piece {
                Piece::Path(_, text) | Piece::Text(text) => *text,
            })
            .collect();
        assert_eq!(together, text);
    }

    #[test]
    fn names_within_names() {
        let inner = r##"#1 of Tuple{A.var"#2 of Tuple{typeof(A.f), Int64}"}"##;
        let text = format!("{}\"{{Int64}}", quote_lasting(inner));
        assert_eq!(unquote_lasting(&text), Some((inner.to_owned(), text.len() - "{Int64}".len())));
    }
}
