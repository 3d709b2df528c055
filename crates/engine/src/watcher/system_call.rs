//! Describes the system call that the first thread of this process waits in. Another thread reads
//! it from /proc: the name, the subject (a path, a descriptor, child processes) and the kernel
//! function it sleeps in. Linux only.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process;

/// A phrase such as `openat("/run/fifo") in wait_for_partner`; `None` while the thread runs.
pub(super) fn describe_system_call() -> Option<String> {
    let line = fs::read_to_string("/proc/self/syscall").ok()?;
    let wait_channel = fs::read_to_string("/proc/self/wchan").unwrap_or_default();
    let (name, args) = parse(&line)?;
    let wait_channel = match wait_channel.trim() {
        "" | "0" => String::new(),
        function => format!(" in {function}"),
    };
    Some(format!("{name}({}){wait_channel}", describe_argument(&name, &args)))
}

/// How many times the thread has begun to wait so far.
pub(super) fn count_waits() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}

/// Parses a line of /proc/self/syscall. "running", or -1 for a thread stopped outside a system
/// call, is `None`.
fn parse(line: &str) -> Option<(String, Vec<u64>)> {
    let mut words = line.split_whitespace();
    let number: u32 = words.next()?.parse().ok()?;
    let name = SYSTEM_CALL_NAMES.iter().find(|(known, _)| *known == number);
    let name = name.map_or_else(|| format!("call {number}"), |(_, name)| (*name).to_owned());
    let args: Vec<u64> = words
        .take(6)
        .map_while(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok())
        .collect();
    (!args.is_empty()).then_some((name, args))
}

fn describe_argument(name: &str, args: &[u64]) -> String {
    let argument = |index: usize| args.get(index).copied().unwrap_or_default();
    match name {
        "open" | "stat" | "lstat" | "unlink" | "rename" | "mkdir" => read_path(argument(0)),
        "openat" | "newfstatat" | "statx" | "unlinkat" | "mkdirat" | "renameat" | "renameat2" => {
            read_path(argument(1))
        }
        "read" | "write" | "pread64" | "pwrite64" | "readv" | "writev" | "fsync" | "fdatasync"
        | "flock" | "fcntl" | "connect" | "accept" | "accept4" | "sendto" | "recvfrom"
        | "sendmsg" | "recvmsg" | "getdents64" | "ftruncate" | "sendfile" => {
            describe_descriptor(argument(0))
        }
        "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait"
        | "epoll_pwait2" | "wait4" | "waitid" => describe_children(),
        _ => String::new(),
    }
}

/// The string at an address of this process. Read through /proc, an invalid address is an error.
fn read_path(address: u64) -> String {
    let mut bytes = [0; MAX_PATH_BYTES];
    let length =
        File::open("/proc/self/mem").and_then(|memory| memory.read_at(&mut bytes, address));
    // The call has returned meanwhile, or /proc is mounted without access to memory.
    let Ok(length) = length else { return "\"?\"".to_owned() };
    let text = bytes[..length].split(|byte| *byte == 0).next().unwrap_or_default();
    format!("{:?}", String::from_utf8_lossy(text))
}

fn describe_descriptor(number: u64) -> String {
    match fs::read_link(format!("/proc/self/fd/{number}")) {
        Ok(target) => format!("{number}: {}", target.display()),
        // The descriptor is closed meanwhile, or invalid: only its number is known.
        Err(_) => number.to_string(),
    }
}

/// The child processes. In a Node program, a call that waits for many things usually waits for a
/// child of `execSync`.
fn describe_children() -> String {
    let pid = process::id();
    let pids = fs::read_to_string(format!("/proc/self/task/{pid}/children")).unwrap_or_default();
    let commands: Vec<_> = pids
        .split_whitespace()
        .filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok())
        .map(|command| String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned())
        .filter(|command| !command.is_empty())
        .map(|command| {
            format!(
                "child process: {}",
                command.chars().take(MAX_COMMAND_CHARS).collect::<String>()
            )
        })
        .collect();
    commands.join(", ")
}

const MAX_PATH_BYTES: usize = 256;
const MAX_COMMAND_CHARS: usize = 120;

// Of the hundreds of system calls, those that can wait. One row for each architecture reads better
// than one for each call.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const SYSTEM_CALL_NAMES: &[(u32, &str)] = &[
    (0, "read"), (1, "write"), (2, "open"), (3, "close"), (4, "stat"), (5, "fstat"),
    (6, "lstat"), (7, "poll"), (17, "pread64"), (18, "pwrite64"), (19, "readv"),
    (20, "writev"), (23, "select"), (26, "msync"), (34, "pause"), (35, "nanosleep"),
    (40, "sendfile"), (42, "connect"), (43, "accept"), (44, "sendto"), (45, "recvfrom"),
    (46, "sendmsg"), (47, "recvmsg"), (61, "wait4"), (72, "fcntl"), (73, "flock"),
    (74, "fsync"), (75, "fdatasync"), (77, "ftruncate"), (82, "rename"), (83, "mkdir"),
    (87, "unlink"), (162, "sync"), (202, "futex"), (217, "getdents64"),
    (230, "clock_nanosleep"), (232, "epoll_wait"), (247, "waitid"), (257, "openat"),
    (258, "mkdirat"), (262, "newfstatat"), (263, "unlinkat"), (264, "renameat"),
    (270, "pselect6"), (271, "ppoll"), (281, "epoll_pwait"), (288, "accept4"),
    (316, "renameat2"), (318, "getrandom"), (326, "copy_file_range"), (332, "statx"),
    (426, "io_uring_enter"), (441, "epoll_pwait2"),
];
#[cfg(target_arch = "aarch64")]
#[rustfmt::skip]
const SYSTEM_CALL_NAMES: &[(u32, &str)] = &[
    (22, "epoll_pwait"), (25, "fcntl"), (32, "flock"), (34, "mkdirat"), (35, "unlinkat"),
    (38, "renameat"), (46, "ftruncate"), (56, "openat"), (57, "close"), (61, "getdents64"),
    (63, "read"), (64, "write"), (65, "readv"), (66, "writev"), (67, "pread64"),
    (68, "pwrite64"), (71, "sendfile"), (72, "pselect6"), (73, "ppoll"), (79, "newfstatat"),
    (80, "fstat"), (81, "sync"), (82, "fsync"), (83, "fdatasync"), (95, "waitid"),
    (98, "futex"), (101, "nanosleep"), (115, "clock_nanosleep"), (202, "accept"),
    (203, "connect"), (206, "sendto"), (207, "recvfrom"), (211, "sendmsg"), (212, "recvmsg"),
    (227, "msync"), (242, "accept4"), (260, "wait4"), (276, "renameat2"), (278, "getrandom"),
    (285, "copy_file_range"), (291, "statx"), (426, "io_uring_enter"), (441, "epoll_pwait2"),
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const SYSTEM_CALL_NAMES: &[(u32, &str)] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_thread_is_in_no_call() {
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse("-1 0x7ffd 0x401000\n"), None);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_call_has_a_name_and_arguments() {
        let line = "257 0xffffff9c 0x10 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n";
        assert_eq!(parse(line), Some(("openat".to_owned(), vec![0xffff_ff9c, 0x10, 0, 0, 0, 0])));
        assert_eq!(parse("9999 0x1\n").unwrap().0, "call 9999");
    }

    #[test]
    fn a_path_is_read_from_memory_and_a_wrong_address_is_no_harm() {
        let text = b"/run/fifo\0rest";
        assert_eq!(read_path(text.as_ptr() as u64), "\"/run/fifo\"");
        assert_eq!(read_path(8), "\"?\"");
    }
}
