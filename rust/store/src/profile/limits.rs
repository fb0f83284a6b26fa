//! Limits the size of a profile: methods that no session has used for a long time fade, and if there are too many
//! methods, those that save least are removed.

use super::text::{Profile, Stats};

/// How large a profile may grow, and how long it keeps unused methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of methods; 0: no limit.
    pub methods: usize,
    /// After how many sessions without a method it is removed; 0: never.
    pub sessions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { methods: 5000, sessions: 50 }
    }
}

/// The assumed time of a method that no build has timed yet: typical for first sessions of real packages.
const USUAL_MILLISECONDS: f32 = 5.0;

/// The estimated milliseconds saved per session, from how often a method was used, and how long ago.
fn value(stats: &Stats, sessions: u32) -> f32 {
    let share = stats.seen.max(1) as f32 / sessions.max(stats.seen).max(1) as f32;
    let age = sessions.saturating_sub(stats.last) as f32;
    stats.milliseconds.unwrap_or(USUAL_MILLISECONDS).max(0.1) * share / (1.0 + age)
}

/// Removes methods beyond the limits. The header counts all methods removed so far.
pub fn apply(profile: &mut Profile, limits: Limits) {
    let sessions = profile.count("sessions");
    if limits.sessions > 0 {
        let before = profile.entries.len();
        profile.entries.retain(|_, stats| sessions.saturating_sub(stats.last) <= limits.sessions);
        note(profile, "faded", before - profile.entries.len());
    }
    if limits.methods > 0 && profile.entries.len() > limits.methods {
        let over = profile.entries.len() - limits.methods;
        let mut by_value: Vec<(f32, String)> =
            profile.entries.iter().map(|(name, stats)| (value(stats, sessions), name.clone())).collect();
        by_value.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        for (_, name) in by_value.iter().take(over) {
            profile.entries.remove(name);
        }
        note(profile, "capped", over);
    }
}

fn note(profile: &mut Profile, name: &str, more: usize) {
    if more > 0 {
        let all = u64::from(profile.count(name)) + more as u64;
        profile.replace(name, &all.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_session_uses_fades() {
        let mut profile = Profile::default();
        profile.set("sessions", "150");
        profile.add("old", Stats { seen: 9, last: 49, milliseconds: None });
        profile.add("new", Stats { seen: 1, last: 50, milliseconds: None });
        apply(&mut profile, Limits { methods: 0, sessions: 100 });
        assert_eq!(profile.entries.keys().collect::<Vec<_>>(), ["new"]);
        assert_eq!(profile.count("faded"), 1);
        apply(&mut profile, Limits { methods: 0, sessions: 0 });
        assert_eq!(profile.count("faded"), 1);
    }

    #[test]
    fn what_saves_least_goes_first() {
        let mut profile = Profile::default();
        profile.set("sessions", "10");
        profile.add("slow to compile", Stats { seen: 5, last: 10, milliseconds: Some(50.0) });
        profile.add("quick, used often", Stats { seen: 10, last: 10, milliseconds: Some(1.0) });
        profile.add("quick, used once", Stats { seen: 1, last: 10, milliseconds: Some(1.0) });
        profile.add("slow, used long ago", Stats { seen: 1, last: 1, milliseconds: Some(50.0) });
        apply(&mut profile, Limits { methods: 2, sessions: 0 });
        assert_eq!(profile.entries.keys().collect::<Vec<_>>(), ["quick, used often", "slow to compile"]);
        assert_eq!(profile.count("capped"), 2);
    }
}
