//! Reaps orphans: a process with id 1 inherits every orphan of its container and must wait for it.

use std::fs;

/// Returns the child processes that have exited and have not been reaped. The list is empty on
/// systems without `/proc`.
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

/// Reaps a child process that has exited. Returns false if there is no such child.
pub(super) fn reap_zombie(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: the pointer refers to a live local; `WNOHANG` prevents the call from blocking.
    pid > 0 && unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid
}

fn is_zombie(pid: i32) -> bool {
    // The name may contain spaces and parentheses: the state follows the last parenthesis.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
