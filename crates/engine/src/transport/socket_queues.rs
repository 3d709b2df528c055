//! The lengths of the kernel's queues of a socket: bytes written but not acknowledged, and bytes
//! received but not read.
#![allow(unsafe_code, reason = "no library has these ioctls")]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes written to the socket that the peer has not acknowledged; 0 if the kernel does not report
/// it.
pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> u64 {
    count(fd, libc::TIOCOUTQ)
}

/// Bytes received from the peer and not read; 0 if the kernel does not report it.
pub(crate) fn unread(fd: BorrowedFd<'_>) -> u64 {
    count(fd, libc::FIONREAD)
}

/// The type of a request, which differs between glibc and musl.
#[cfg(target_os = "linux")]
type Request = libc::Ioctl;
#[cfg(not(target_os = "linux"))]
type Request = libc::c_ulong;

fn count(fd: BorrowedFd<'_>, request: Request) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open, and both requests write one int.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &mut count) };
    if result == 0 { count.max(0) as u64 } else { 0 }
}
