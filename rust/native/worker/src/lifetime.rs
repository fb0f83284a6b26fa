//! Limits for processes of a build: none outlives the process that started it, or takes all of the machine's memory.

use rustix::io::retry_on_intr;
use rustix::process::{
    set_parent_process_death_signal, setrlimit, waitpid, Pid, Resource, Rlimit, Signal, WaitOptions,
};

/// Has the kernel kill this process when its parent ends, however that ends.
pub(crate) fn end_with_parent() {
    // The kernel refuses only what is no signal.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// Like [`end_with_parent`], for a parent that may have ended before the call. Then this process ends now.
pub(crate) fn end_with(parent: u32) {
    end_with_parent();
    if std::os::unix::process::parent_id() != parent {
        // SAFETY: no exit hooks are wanted.
        unsafe { libc::_exit(1) };
    }
}

/// Limits the memory that this process and each of its children may allocate; 0: no limit.
pub(crate) fn limit_memory(bytes: u64) -> std::io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    // Data, not address space: files that are mapped, such as the sysimage and libLLVM, cost no memory of their own.
    Ok(setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) })?)
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
}

/// Waits for a child of this process; `None` if it cannot be waited for.
pub(crate) fn wait(child: libc::pid_t) -> Option<End> {
    let child = Pid::from_raw(child)?;
    let (_, status) = retry_on_intr(|| waitpid(Some(child), WaitOptions::empty())).ok()??;
    status.terminating_signal().map(End::Signal).or_else(|| status.exit_status().map(End::Code))
}
