//! No process of a build outlives the one that started it, or takes all of the machine's memory.

/// Has the kernel kill this process when its parent ends, however that ends.
pub(crate) fn end_with_parent() {
    // SAFETY: changes nothing but what the kernel does when the parent ends.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// As [`end_with_parent`], for a parent that may have ended before the call; then this process ends now.
pub(crate) fn end_with(parent: u32) {
    end_with_parent();
    if std::os::unix::process::parent_id() != parent {
        // SAFETY: no exit hooks are wanted.
        unsafe { libc::_exit(1) };
    }
}

/// Bounds what this process and each of its children may allocate; 0 is no bound.
pub(crate) fn limit_memory(bytes: u64) -> std::io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    // Data, not address space: files that are mapped, such as the sysimage and libLLVM, cost no memory of their own.
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: reads `limit`.
    match unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
}

/// Waits for a child of this process; `None` if it cannot be waited for.
pub(crate) fn wait(child: libc::pid_t) -> Option<End> {
    let mut status = 0;
    // SAFETY: writes the status of a child.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } == -1 {
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return None;
        }
    }
    Some(if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        End::Code(libc::WEXITSTATUS(status))
    })
}
