//! Children that nobody waits for: a process with id 1 inherits every orphan of its container and must reap_zombie it.

use std::fs;

/// The children of this process that have ended and have not been waited for. Empty where the system has no `/proc`.
pub(super) fn list_zombies() -> Vec<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|children| {
            children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .filter(|pid| is_zombie(*pid))
        .collect()
}

/// Waits for a child that has ended; false when there is no such child.
pub(super) fn reap_zombie(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: a plain system call with a live local; it does not block.
    pid > 0 && unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid
}

fn is_zombie(pid: i32) -> bool {
    // The name may hold spaces and brackets: the state stands behind the last one.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
