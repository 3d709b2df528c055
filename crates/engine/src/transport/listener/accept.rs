//! One `accept`, and what its errors mean.

#![expect(unsafe_code, reason = "accept4 is not in the standard library")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use socket2::SockAddr;

use super::PeerAddr;

/// What became of trying to accept.
pub(super) enum AcceptOutcome {
    Connection(OwnedFd, PeerAddr),
    /// The queue is empty.
    Empty,
    /// One connection went wrong before we had it; the next one may be fine.
    Lost(io::Error),
    /// No descriptors or no memory: trying again at once would spin.
    Exhausted(io::Error),
    /// This is no listener any more.
    Dead(io::Error),
}

/// Takes one connection out of the queue.
pub(super) fn accept(listener: &OwnedFd) -> AcceptOutcome {
    // SAFETY: the closure gets a buffer and the length of it, and `accept4` writes no more than that
    // and says how much.
    let result = unsafe {
        SockAddr::try_init(|storage, len| match accept_raw(listener, storage.cast(), len) {
            fd if fd < 0 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        })
    };
    match result {
        Ok((fd, address)) => match address.as_socket() {
            Some(peer) => AcceptOutcome::Connection(fd, PeerAddr::Ip(peer)),
            None => AcceptOutcome::Connection(fd, PeerAddr::Unix),
        },
        Err(error) => classify_error(error),
    }
}

/// How many descriptors the process may have open.
pub fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of our own. Without an answer there is no limit that we know of.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if answer == 0 { limit.rlim_cur } else { u64::MAX }
}

/// accept(2): errors of the network that were already pending on the new connection come out of
/// `accept`, and the caller is to try again.
fn classify_error(error: io::Error) -> AcceptOutcome {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => AcceptOutcome::Empty,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            AcceptOutcome::Exhausted(error)
        }
        Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP) => {
            AcceptOutcome::Dead(error)
        }
        _ => AcceptOutcome::Lost(error),
    }
}

#[cfg(target_os = "linux")]
unsafe fn accept_raw(
    listener: &OwnedFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> i32 {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the caller's pointers, passed on.
    unsafe { libc::accept4(listener.as_raw_fd(), address, len, flags) }
}

#[cfg(not(target_os = "linux"))]
unsafe fn accept_raw(
    listener: &OwnedFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> i32 {
    // SAFETY: the caller's pointers, passed on; the descriptor is new when it gets its flags. If they
    // cannot be set it is closed, since a blocking one would stop the I/O thread.
    unsafe {
        let fd = libc::accept(listener.as_raw_fd(), address, len);
        if fd >= 0
            && (libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) < 0
                || libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) < 0)
        {
            libc::close(fd);
            return -1;
        }
        fd
    }
}
