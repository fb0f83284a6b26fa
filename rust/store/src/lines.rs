//! Lines that Julia reads: fields between tabs, as [`fields`](crate::fields) writes them.

use std::ffi::c_int;

use crate::reason::Reason;

use crate::fields as lines;
pub use crate::fields::escape;

/// What became of a statement: its bucket, why, and what exactly.
pub fn line(bucket: &str, reason: Option<Reason>, statement: &str, detail: &str) -> String {
    let code = reason.map_or(0, Reason::code);
    lines::line([bucket, &code.to_string(), statement, detail])
}

/// The components of a key, each with its value.
pub fn key_lines(key: &[(String, String)]) -> String {
    key.iter().map(|(name, value)| lines::line([name, value])).collect()
}

/// Name, text and advice of the reason with this code; empty if there is none.
pub fn reason(code: c_int) -> String {
    u16::try_from(code)
        .ok()
        .and_then(Reason::from_code)
        .map_or_else(String::new, |r| [r.name(), r.text(), r.advice()].map(escape).join("\t"))
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
