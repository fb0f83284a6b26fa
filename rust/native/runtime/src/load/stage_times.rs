//! The time of each step of linking.

/// The seconds of processor time for each step of linking, for all tries together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// Reading and hashing the file, checking its tables, comparing the key.
    pub check: f64,
    /// Resolving descriptions to objects.
    pub resolve: f64,
    /// Mapping the code.
    pub map: f64,
    /// Filling slots.
    pub fill: f64,
    /// Verifying edges.
    pub verify: f64,
    /// Installing code instances and backedges.
    pub install: f64,
}

impl Steps {
    /// The steps by name, in order.
    pub fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("check", self.check),
            ("resolve", self.resolve),
            ("map", self.map),
            ("fill", self.fill),
            ("verify", self.verify),
            ("install", self.install),
        ]
    }
}

/// Adds the time since the last call to a step.
pub struct Lap(f64);

impl Lap {
    /// Starts now.
    pub fn start() -> Self {
        Lap(thread_seconds())
    }

    /// Adds the time since the last call, or since `start`.
    pub(crate) fn add_to(&mut self, step: &mut f64) {
        let now = thread_seconds();
        *step += now - self.0;
        self.0 = now;
    }
}

/// The processor time of this thread. On a busy machine, wall time would mostly measure other processes.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; the clock exists since Linux 2.6.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
