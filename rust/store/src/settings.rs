//! Settings that a session needs without Julia: environment, then preference file, then default, as
//! src/settings/config.jl has them.

use std::path::{Path, PathBuf};

use crate::{file, Limits};

/// What a session does with what it has compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Look at what was compiled when the session ends.
    pub trace: bool,
    /// What to do about a library that is not up to date.
    pub auto: Auto,
    /// How large a profile may grow.
    pub limits: Limits,
}

/// What to do about a library that is not up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto {
    /// Nothing.
    Off,
    /// Say so, once, in an interactive session.
    Ask,
    /// Build it in a process of its own, which outlives the session.
    Background,
    /// Build it, and wait.
    Now,
}

impl Settings {
    /// Those of this moment. `project` is the active project's file.
    #[must_use]
    pub fn read(project: Option<&Path>, depots: &[PathBuf]) -> Self {
        let beside = project.and_then(Path::parent).map(|folder| folder.join("NativeCache.toml"));
        let places =
            beside.into_iter().chain(depots.iter().map(|depot| depot.join("config/NativeCache.toml")));
        let files: Vec<Vec<u8>> = places.filter_map(|place| file::read(&place).ok()).collect();
        Self::from(|name| {
            let given = |variable: &str| std::env::var(variable).ok().filter(|value| !value.is_empty());
            // Nothing is built under CI because of a file that was written for somebody's own machine.
            let heeded = name != "auto" || !is_ci(given("CI").as_deref());
            given(&format!("JULIA_NATIVECACHE_{}", name.to_uppercase()))
                .or_else(|| files.iter().filter(|_| heeded).find_map(|file| preference(file, name)))
        })
    }

    /// What is no value of a setting counts as not said: a session never stops for it.
    pub fn from(value: impl Fn(&str) -> Option<String>) -> Self {
        let limits = Limits::default();
        let number = |name: &str| value(name).and_then(|text| text.trim().parse::<u32>().ok());
        Settings {
            trace: value("trace").is_none_or(|text| !is_no(&text)),
            auto: match value("auto").unwrap_or_default().trim() {
                "background" => Auto::Background,
                "now" => Auto::Now,
                text if is_no(text) => Auto::Off,
                _ => Auto::Ask,
            },
            limits: Limits {
                methods: number("methods").map_or(limits.methods, |n| n as usize),
                sessions: number("fade").unwrap_or(limits.sessions),
            },
        }
    }
}

/// Does the environment leave it open whether the session is traced? Files are looked at when it ends.
pub fn may_trace() -> bool {
    std::env::var("JULIA_NATIVECACHE_TRACE").map_or(true, |text| !is_no(&text))
}

fn is_no(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "no" | "off" | "false" | "0")
}

/// As src/show/progress.jl has it.
fn is_ci(value: Option<&str>) -> bool {
    !matches!(value, None | Some("" | "false" | "0"))
}

/// The value of a setting in a preference file: of the first line that gives it one. A line that is not of the form
/// `name = value`, with or without quotes, is passed over, as `read_preferences` of src/settings/config.jl does.
pub fn preference(file: &[u8], name: &str) -> Option<String> {
    file.split(|byte| *byte == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok().filter(|line| !line.contains('\0'))?;
        let (key, value) = line.trim_matches(BLANKS).split_once('=')?;
        if key.trim_end_matches(BLANKS) != name {
            return None;
        }
        let value = value.trim_start_matches(BLANKS);
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = value.find(|c| BLANKS.contains(&c) || c == '#' || c == '"').unwrap_or(value.len());
                // Nothing is a value only between quotes.
                value.split_at_checked(end).filter(|(value, _)| !value.is_empty())?
            }
        };
        let behind = behind.trim_start_matches(BLANKS);
        (behind.is_empty() || behind.starts_with('#')).then(|| value.to_owned())
    })
}

/// What may stand around names and values.
const BLANKS: [char; 5] = [' ', '\t', '\r', '\x0b', '\x0c'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_preference_file_says() {
        let file = b"# mine\nauto = \"now\" # at once\nfade=7\ntrace = no\n";
        let settings = Settings::from(|name| preference(file, name));
        assert_eq!(settings.auto, Auto::Now);
        assert_eq!(settings.limits, Limits { sessions: 7, ..Limits::default() });
        assert!(!settings.trace);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let file =
            b"auto = now or never\nauto = \"now\nauto =\nauto = \xff\nauto \"now\"\nauto = ask#\nauto = off";
        assert_eq!(preference(file, "auto").as_deref(), Some("ask"));
        assert_eq!(preference(b"linker = \"\"", "linker").as_deref(), Some(""));
        assert_eq!(preference(b"linker = \"a b\" c", "linker"), None);
    }

    #[test]
    fn nonsense_is_the_default() {
        let settings = Settings::from(|_| Some("nonsense".to_owned()));
        assert_eq!(settings, Settings::from(|_| None));
        assert_eq!(settings.auto, Auto::Ask);
    }

    #[test]
    fn what_says_that_it_is_ci() {
        assert!(is_ci(Some("true")) && is_ci(Some("1")));
        assert!(!is_ci(None) && !is_ci(Some("false")) && !is_ci(Some("0")));
    }
}
