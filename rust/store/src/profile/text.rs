//! The text of a profile:
//!
//! ```text
//! # NativeCache profile
//! # layer: trace
//! # package: Dates ade2ca70-3891-5945-98fb-dc099432e06a
//! # sessions: 41
//! precompile(Tuple{typeof(Dates.now)})  # seen 12, last 39, 4.1 ms
//! ```
//!
//! No line depends on another, so any tool that merges lines merges profiles. If a method occurs twice, the larger of
//! each number counts. Lines that cannot be read are ignored.
//!
//! A signature has no escapes of [`fields`](crate::fields), since the line is a Julia statement. Values of the header have
//! them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::fields::{escape, unescape};

/// The statistics of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Sessions (or runs) that compiled or used it.
    pub seen: u32,
    /// The number of the last of them, as this profile counts sessions.
    pub last: u32,
    /// Milliseconds that it took to compile when it was last built.
    pub milliseconds: Option<f32>,
}

/// A parsed profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// `name: value` lines of the header; `package` may occur several times.
    pub header: BTreeMap<String, Vec<String>>,
    /// The methods by their signature.
    pub entries: BTreeMap<String, Stats>,
}

const TITLE: &str = "# NativeCache profile";

/// Is this name of the header a list? Other names have one value.
fn is_list(name: &str) -> bool {
    name == "package"
}

/// Is the value of this name of the header a number that only grows?
fn is_count(name: &str) -> bool {
    matches!(name, "sessions" | "faded" | "capped")
}

impl Profile {
    /// Parses a profile. Damaged lines are ignored.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut profile = Profile::default();
        // Some editors put a byte order mark at the start.
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            if let Some(comment) = line.trim_start().strip_prefix('#') {
                if let Some((name, value)) = comment.split_once(": ") {
                    profile.set(name.trim(), &unescape(value));
                }
            } else if let Some((statement, stats)) = parse_entry(line.trim()) {
                profile.add(statement, stats);
            }
        }
        profile
    }

    /// Adds a value to the header: to a list, or the larger of two.
    pub fn set(&mut self, name: &str, value: &str) {
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if !valid || value.is_empty() {
            return;
        }
        let values = self.header.entry(name.to_owned()).or_default();
        if is_list(name) {
            if !values.iter().any(|v| v == value) {
                values.push(value.to_owned());
                values.sort_unstable();
            }
            return;
        }
        let larger = match values.first() {
            None => true,
            Some(old) if is_count(name) => value.parse::<u64>().ok() > old.parse::<u64>().ok(),
            Some(old) => value > old.as_str(),
        };
        if larger {
            *values = vec![value.to_owned()];
        }
    }

    /// Replaces a value of the header.
    pub fn replace(&mut self, name: &str, value: &str) {
        self.header.remove(name);
        self.set(name, value);
    }

    /// The value of a name in the header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.first().map(String::as_str)
    }

    /// A number of the header; 0 if it is missing.
    #[must_use]
    pub fn count(&self, name: &str) -> u32 {
        self.get(name).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Adds a method. If it is known, the larger of each number counts.
    pub fn add(&mut self, statement: &str, stats: Stats) {
        let entry = self.entries.entry(one_line(statement)).or_insert(stats);
        entry.seen = entry.seen.max(stats.seen);
        entry.last = entry.last.max(stats.last);
        entry.milliseconds = match (entry.milliseconds, stats.milliseconds) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{TITLE}")?;
        for (name, values) in &self.header {
            for value in values {
                writeln!(f, "# {name}: {}", escape(value))?;
            }
        }
        let mut line = String::new();
        for (statement, stats) in &self.entries {
            line.clear();
            write!(line, "precompile({statement})  # seen {}, last {}", stats.seen, stats.last)?;
            if let Some(ms) = stats.milliseconds {
                write!(line, ", {ms:.1} ms")?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Parses `precompile(signature)` and the comment after it.
fn parse_entry(line: &str) -> Option<(&str, Stats)> {
    let rest = line.strip_prefix("precompile(")?;
    // The comment has no brackets, so the last one closes the call.
    let (statement, behind) = rest.rsplit_once(')')?;
    let statement = statement.trim();
    if statement.is_empty() || !balanced(statement) {
        return None;
    }
    let mut stats = Stats::default();
    let comment = behind.trim_start_matches([';', ' ']).strip_prefix('#').unwrap_or("");
    for part in comment.split(',') {
        match part.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["seen", n] => stats.seen = n.parse().unwrap_or(0),
            ["last", n] => stats.last = n.parse().unwrap_or(0),
            [ms, "ms"] => {
                stats.milliseconds = ms.parse().ok().filter(|ms: &f32| ms.is_finite() && *ms >= 0.0)
            }
            _ => {}
        }
    }
    Some((statement, stats))
}

/// The signature on one line. A newline in a literal becomes Julia's escape, and a blank elsewhere.
fn one_line(statement: &str) -> String {
    let statement = statement.trim();
    if !statement.contains(['\n', '\r']) {
        return statement.to_owned();
    }
    let mut out = String::with_capacity(statement.len() + 8);
    let mut outside = Outside::default();
    for c in statement.chars() {
        let quoted = !outside.is(c);
        match c {
            '\n' if quoted => out.push_str("\\n"),
            '\r' if quoted => out.push_str("\\r"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Tracks, character by character, whether a text is inside a literal.
#[derive(Default)]
struct Outside {
    /// The quote that ends the literal.
    quote: Option<char>,
    escaped: bool,
    /// The previous character: after a name or a bracket, `'` transposes.
    before: Option<char>,
    /// The number of characters in the literal so far: a character literal is not empty, and `'''` is a quote.
    length: usize,
}

impl Outside {
    /// Is the next character, `c`, outside of literals? Quotes belong to their literal.
    fn is(&mut self, c: char) -> bool {
        let before = self.before.replace(c);
        let Some(quote) = self.quote else {
            let transposes =
                before.is_some_and(|b| b.is_alphanumeric() || matches!(b, '}' | ')' | ']' | '_'));
            if c == '"' || c == '\'' && !transposes {
                (self.quote, self.length) = (Some(c), 0);
                return false;
            }
            return true;
        };
        if self.escaped {
            self.escaped = false;
        } else if c == '\\' {
            self.escaped = true;
        } else if c == quote && (quote == '"' || self.length > 0) {
            self.quote = None;
        }
        self.length += 1;
        false
    }
}

/// Are the brackets balanced? A truncated line has more opening ones than closing ones.
fn balanced(statement: &str) -> bool {
    let mut depth = 0i64;
    let mut outside = Outside::default();
    for c in statement.chars() {
        match c {
            _ if !outside.is(c) => {}
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            _ => {}
        }
    }
    depth == 0 && outside.quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut profile = Profile::default();
        profile.set("layer", "trace");
        profile.set("package", "B 2");
        profile.set("package", "A 1");
        profile.set("sessions", "9");
        profile.add("Tuple{typeof(B.f)}", Stats { seen: 2, last: 9, milliseconds: Some(1.5) });
        profile.add(r##"Tuple{B.var"#1 of f(\"}\")", Symbol(")")}"##, Stats::default());
        let text = profile.to_string();
        assert_eq!(Profile::parse(&text), profile);
        let lines: Vec<&str> = text.lines().collect();
        let mut sorted = lines.clone();
        sorted.sort_unstable();
        assert_eq!(lines[1..], sorted[1..]);
    }

    #[test]
    fn odd_characters_break_no_line() {
        let mut profile = Profile::default();
        profile.set("from", " a\tb\nc\\ ");
        // Signatures as people write them: literals of a quote and of brackets, an end of line in and outside of one.
        let given =
            [r#"Tuple{A.Part{'"'}}"#, "Tuple{A.Part{'('}}", r"Tuple{A.Part{'\''}}", "Tuple{A.Part{'''}}"];
        given.iter().for_each(|statement| profile.add(statement, Stats::default()));
        profile.add("Tuple{A,\n  Val{Symbol(\"a\tb\nc\")}}", Stats::default());
        let read = Profile::parse(&profile.to_string());
        assert_eq!(read, profile);
        assert_eq!(read.get("from"), Some(" a\tb\nc\\ "));
        assert!(given.iter().all(|statement| read.entries.contains_key(*statement)));
        assert!(read.entries.contains_key("Tuple{A,   Val{Symbol(\"a\tb\\nc\")}}"));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        let read = Profile::parse("\u{feff}precompile(Tuple{A})\r\n# sessions: 3\r\n");
        assert_eq!(read.entries.keys().collect::<Vec<_>>(), ["Tuple{A}"]);
        assert_eq!(read.count("sessions"), 3);
    }

    #[test]
    fn any_merge_of_lines_is_a_profile() {
        let a =
            "# sessions: 9\nprecompile(Tuple{A})  # seen 2, last 9\nprecompile(Tuple{B})  # seen 1, last 1\n";
        let b = "# sessions: 12\nprecompile(Tuple{A})  # seen 3, last 4, 2.0 ms\n";
        for text in [format!("{a}{b}"), format!("<<<<<<< ours\n{b}=======\n{a}>>>>>>> theirs\n")] {
            let merged = Profile::parse(&text);
            assert_eq!(merged.count("sessions"), 12);
            assert_eq!(merged.entries.len(), 2);
            let stats = Stats { seen: 3, last: 9, milliseconds: Some(2.0) };
            assert_eq!(merged.entries["Tuple{A}"], stats);
        }
    }

    #[test]
    fn a_damaged_line_costs_itself() {
        let text =
            "precompile(Tuple{typeof(A.f), Array{Int64, 1)\nprecompile(Tuple{A})\nprecompile(Tuple{typ";
        assert_eq!(Profile::parse(text).entries.keys().collect::<Vec<_>>(), ["Tuple{A}"]);
        assert!(Profile::parse("precompile()\n\u{0}\u{0}").entries.is_empty());
    }
}
