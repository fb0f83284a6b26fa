//! How long each step of linking took.

/// Seconds of processor time spent on each step of linking, of all tries together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// The file mapped, its hash made, its tables checked, the key compared.
    pub check: f64,
    /// Descriptions to objects.
    pub resolve: f64,
    /// The code mapped by the dynamic linker.
    pub map: f64,
    /// Slots filled.
    pub fill: f64,
    /// Edges compared with the session's methods.
    pub verify: f64,
    /// Code instances and backedges.
    pub install: f64,
}

impl Steps {
    /// Each step by name, in the order in which they are made.
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
    /// From now on.
    pub fn start() -> Self {
        Lap(thread_seconds())
    }

    /// Adds the time since the last call, or since `start`.
    pub fn add_to(&mut self, step: &mut f64) {
        let now = thread_seconds();
        *step += now - self.0;
        self.0 = now;
    }
}

/// Processor time of this thread: on a busy machine the wall clock says how busy it is.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; the clock exists since Linux 2.6.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
