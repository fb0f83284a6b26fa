//! Step 8 of a build: what src/build.jl is told, as lines in the result file.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use nativecache_store::lines::line;

use crate::assemble::Tables;
use crate::compare::Difference;
use crate::error::BuildError;
use crate::parts::Made;

/// How long the steps took.
pub(crate) struct StepTimes {
    since: Instant,
    steps: Vec<(&'static str, f64)>,
}

impl StepTimes {
    /// The first step begins now.
    pub(crate) fn start() -> Self {
        StepTimes { since: Instant::now(), steps: Vec::new() }
    }

    /// This step ends, and another begins.
    pub(crate) fn end(&mut self, step: &'static str) {
        self.steps.push((step, self.since.elapsed().as_secs_f64()));
        self.since = Instant::now();
    }
}

/// Writes the result file.
pub(crate) fn write(
    path: &Path,
    tables: &Tables,
    differences: &[Difference],
    times: &StepTimes,
    made: Made,
) -> Result<(), BuildError> {
    let mut text = tables.outcomes.clone();
    for found in differences {
        text.push_str(&line("different", None, &found.method, &found.what));
        if let Some(number) = found.number {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "function\t{number}");
        }
    }
    let counts = [
        ("parts", made.all as f64),
        ("parts_compiled", made.compiled as f64),
        ("processes", made.processes as f64),
        ("functions", f64::from(tables.functions)),
        ("slots", f64::from(tables.slots)),
        ("nodes", f64::from(tables.nodes)),
        ("not_kept", f64::from(tables.not_kept)),
        ("image_bytes", tables.bytes.len() as f64),
    ];
    for (name, value) in times.steps.iter().chain(&counts) {
        // As above.
        let _ = writeln!(text, "stat\t{name}\t{value}");
    }
    std::fs::write(path, text).map_err(BuildError::at(path))
}
