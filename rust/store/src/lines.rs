//! Lines that Julia reads: fields between tabs, with tabs, newlines and backslashes escaped.

use std::ffi::c_int;

use crate::reason::Reason;

/// Escapes what would end a field or a line.
pub fn escape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    for c in field.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out
}

pub fn line(bucket: &str, reason: Option<Reason>, statement: &str, detail: &str) -> String {
    let code = reason.map_or(0, Reason::code);
    format!("{bucket}\t{code}\t{}\t{}\n", escape(statement), escape(detail))
}

pub fn key_lines(key: &[(String, String)]) -> String {
    key.iter().map(|(name, value)| format!("{}\t{}\n", escape(name), escape(value))).collect()
}

pub fn reason(code: c_int) -> String {
    u16::try_from(code)
        .ok()
        .and_then(Reason::from_code)
        .map_or_else(String::new, |r| format!("{}\t{}\t{}", r.name(), r.text(), r.advice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_on_their_line() {
        let text = line("failed", Some(Reason::CompilerThrew), "a\tb", "c\nd\\e");
        assert_eq!(text, "failed\t209\ta\\tb\tc\\nd\\\\e\n");
    }

    #[test]
    fn unknown_reasons_have_no_text() {
        assert_eq!(reason(-1), "");
        assert_eq!(reason(1), "");
        assert!(reason(i32::from(Reason::KeyDiffers.code())).starts_with("KeyDiffers\t"));
    }
}
