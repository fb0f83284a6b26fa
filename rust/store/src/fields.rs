//! How a text becomes a field of a line. Every file and every answer that consists of lines of fields between tabs is
//! written and read by these functions; src/store/lines.jl is the same for Julia.
//!
//! Backslash, tab, newline, carriage return and NUL become `\\`, `\t`, `\n`, `\r` and `\0`. All else stands as it is, so
//! that most fields read as what they say.

use nativecache_mutation::mutation;

/// The same without what would end a field or a line.
#[must_use]
pub fn escape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    for c in field.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str(mutation!("lines: carriage returns are left alone", "\\r", "\r")),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out
}

/// What [`escape`] was given. A backslash before anything else stands for itself.
#[must_use]
pub fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let meant = match rest.as_bytes().first() {
            Some(b'\\') => '\\',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b'0') => '\0',
            _ => {
                out.push('\\');
                continue;
            }
        };
        out.push(meant);
        rest = &rest[1..];
    }
    out.push_str(rest);
    out
}

/// A line of these fields, with its end.
pub fn line<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    for (k, field) in fields.into_iter().enumerate() {
        if k > 0 {
            out.push('\t');
        }
        out.push_str(&escape(field.as_ref()));
    }
    out.push('\n');
    out
}

/// The fields of a line without its end.
#[must_use]
pub fn fields(line: &str) -> Vec<String> {
    line.split('\t').map(unescape).collect()
}

/// The lines of a text. Unlike `str::lines` it leaves a carriage return alone: no field ends in one.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_terminator('\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_stays_on_its_line() {
        assert_eq!(line(["a\tb", "c\nd\\e\r\0", ""]), "a\\tb\tc\\nd\\\\e\\r\\0\t\n");
        // What nobody escaped.
        assert_eq!(unescape("C:\\x \\"), "C:\\x \\");
    }

    fn any_text() -> impl Strategy<Value = String> {
        // What matters, often, and anything else.
        let piece = prop_oneof![
            prop::sample::select(vec![
                "\\", "\t", "\n", "\r", "\0", "t", "n", "\"", " ", "#", "\u{feff}", "\u{2028}"
            ])
            .prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn lines_are_read_as_they_were_written(
            written in prop::collection::vec(prop::collection::vec(any_text(), 1..5), 0..5)
        ) {
            let text: String = written.iter().map(line).collect();
            let read: Vec<Vec<String>> = lines(&text).map(fields).collect();
            prop_assert_eq!(read, written);
        }
    }
}
