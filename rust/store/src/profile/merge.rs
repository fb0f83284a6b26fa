//! Merges new methods into a profile.

use super::text::Profile;

/// How new methods combine with the known ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They are from another session: the known ones stay.
    Add,
    /// The source was run again: methods that it no longer compiles are removed.
    Replace,
    /// A build has measured the costs of methods: no method is added or removed.
    Measure,
}

/// Merges `found` into `known`. Values in the header of `found` replace those of `known`.
pub fn merge(known: &mut Profile, found: &Profile, mode: Mode) {
    if mode == Mode::Measure {
        for (statement, stats) in &found.entries {
            if let Some(entry) = known.entries.get_mut(statement) {
                entry.milliseconds = stats.milliseconds.or(entry.milliseconds);
            }
        }
        return;
    }
    let replace = mode == Mode::Replace;
    let sessions = if replace {
        known.count("sessions").max(found.count("sessions"))
    } else {
        // An addition counts as one session, or as several if it has them in one file.
        known.count("sessions").saturating_add(found.count("sessions").max(1))
    };
    for (name, values) in &found.header {
        if name == "package" {
            values.iter().for_each(|value| known.set(name, value));
        } else if let Some(value) = values.first() {
            known.replace(name, value);
        }
    }
    if sessions > 0 {
        known.replace("sessions", &sessions.to_string());
    }
    if replace {
        // Running the source again does not change the statistics of a known method.
        known.entries.retain(|statement, _| found.entries.contains_key(statement));
    }
    for (statement, stats) in &found.entries {
        let entry = known.entries.entry(statement.clone()).or_default();
        entry.seen = if replace {
            entry.seen.max(stats.seen).max(1)
        } else {
            entry.seen.saturating_add(stats.seen.max(1))
        };
        entry.last = sessions;
        entry.milliseconds = stats.milliseconds.or(entry.milliseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Stats;
    use super::*;

    fn profile(entries: &[&str]) -> Profile {
        let mut profile = Profile::default();
        entries.iter().for_each(|e| profile.add(e, Stats::default()));
        profile
    }

    #[test]
    fn sessions_are_counted() {
        let mut known = Profile::default();
        merge(&mut known, &profile(&["A", "B"]), Mode::Add);
        merge(&mut known, &profile(&["B", "C"]), Mode::Add);
        assert_eq!(known.count("sessions"), 2);
        let numbers: Vec<(u32, u32)> = known.entries.values().map(|s| (s.seen, s.last)).collect();
        assert_eq!(numbers, [(1, 1), (2, 2), (1, 2)]);
    }

    #[test]
    fn a_source_that_runs_again_replaces_its_methods() {
        let mut known = profile(&["A", "B"]);
        known.add("B", Stats { milliseconds: Some(3.0), ..Stats::default() });
        merge(&mut known, &profile(&["B", "C"]), Mode::Replace);
        assert_eq!(known.entries.keys().collect::<Vec<_>>(), ["B", "C"]);
        assert_eq!(known.entries["B"].milliseconds, Some(3.0));
    }

    #[test]
    fn what_a_build_measures_changes_no_count() {
        let mut known = Profile::default();
        merge(&mut known, &profile(&["A"]), Mode::Add);
        let mut measured = Profile::default();
        measured.add("A", Stats { milliseconds: Some(2.0), ..Stats::default() });
        measured.add("B", Stats { milliseconds: Some(2.0), ..Stats::default() });
        merge(&mut known, &measured, Mode::Measure);
        assert_eq!(known.count("sessions"), 1);
        assert_eq!(known.entries.len(), 1);
        assert_eq!(known.entries["A"], Stats { seen: 1, last: 1, milliseconds: Some(2.0) });
    }
}
