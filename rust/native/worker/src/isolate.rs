//! Which of many kills the process? Tried in forked children, halving what dies.

/// The items on which `attempt` does not come back. `attempt` runs in a forked child.
///
/// # Safety
/// The process has one thread that matters, and `attempt` needs no other.
pub unsafe fn culprits<T: Copy>(items: &[T], attempt: &mut dyn FnMut(&[T])) -> Vec<T> {
    // SAFETY: as the caller says.
    if items.is_empty() || unsafe { survives(|| attempt(items)) } {
        return Vec::new();
    }
    if items.len() == 1 {
        return items.to_vec();
    }
    let (left, right) = items.split_at(items.len() / 2);
    // SAFETY: as the caller says.
    let (mut found, more) = unsafe { (culprits(left, attempt), culprits(right, attempt)) };
    found.extend(more);
    // Only together do they kill: none of them can be kept.
    if found.is_empty() {
        items.to_vec()
    } else {
        found
    }
}

/// Runs `attempt` in a forked child; true if the child ended by itself.
///
/// # Safety
/// As [`culprits`].
unsafe fn survives(attempt: impl FnOnce()) -> bool {
    // SAFETY: the child runs `attempt` on the one thread that fork keeps and leaves without exit hooks;
    // the parent only waits.
    unsafe {
        match libc::fork() {
            0 => {
                crate::lifetime::end_with_parent();
                attempt();
                libc::_exit(0)
            }
            -1 => true,
            child => {
                // Of one that cannot be waited for nothing is known.
                crate::lifetime::wait(child).is_none_or(|end| end == crate::lifetime::End::Code(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_culprit_and_nothing_else() {
        let items: Vec<u32> = (0..37).collect();
        // SAFETY: the children only compare and abort.
        let found = unsafe {
            culprits(&items, &mut |part| {
                if part.iter().any(|i| [3, 20, 36].contains(i)) {
                    // SAFETY: ends the child as an aborting compiler does.
                    libc::abort();
                }
            })
        };
        assert_eq!(found, [3, 20, 36]);
    }

    #[test]
    fn what_kills_only_together_goes_together() {
        // SAFETY: as above.
        let found = unsafe {
            culprits(&[1, 2, 3, 4], &mut |part: &[i32]| {
                if part.contains(&2) && part.contains(&3) {
                    // SAFETY: as above.
                    libc::abort();
                }
            })
        };
        assert_eq!(found, [1, 2, 3, 4]);
    }

    #[test]
    fn nobody_dies_of_nothing() {
        // SAFETY: the children do nothing.
        assert!(unsafe { culprits(&[1, 2, 3], &mut |_: &[i32]| ()) }.is_empty());
    }
}
