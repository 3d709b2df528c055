//! What the peer of a socket has not taken yet, as the kernel knows it.
#![allow(unsafe_code, reason = "no library has this ioctl")]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes written to the socket that the peer's side has not acknowledged; 0 where the kernel does not say.
pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the call writes one int.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
    if result == 0 { count.max(0) as u64 } else { 0 }
}
