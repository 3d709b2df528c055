//! The accept system call, and the meaning of its errors.

#![expect(unsafe_code, reason = "accept4 is not in the standard library")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use socket2::SockAddr;

use super::{AcceptedConnection, PeerAddr};

/// A listening socket of an acceptor.
pub(super) struct Listener {
    pub(super) fd: OwnedFd,
    pub(super) server_id: u32,
    pub(super) is_tls: bool,
    /// The number of connections accepted from this listener.
    pub(super) accepted: u64,
}

/// The result of one accept.
pub(super) enum AcceptOutcome {
    /// A connection.
    Connection(AcceptedConnection),
    /// The queue is empty.
    Empty,
    /// The connection failed before it was accepted; the next one may succeed.
    Lost(io::Error),
    /// Descriptors or memory have run out: a retry at once would spin.
    Exhausted(io::Error),
    /// The descriptor is no listener any more.
    Dead(io::Error),
}

impl Listener {
    /// Accepts one connection from the queue.
    pub(super) fn accept(&mut self) -> AcceptOutcome {
        // SAFETY: the closure gets a buffer and its length; `accept4` writes no more than that and
        // returns how much it wrote.
        let result = unsafe {
            SockAddr::try_init(|storage, len| match accept_raw(&self.fd, storage.cast(), len) {
                fd if fd < 0 => Err(io::Error::last_os_error()),
                fd => Ok(OwnedFd::from_raw_fd(fd)),
            })
        };
        match result {
            Ok((fd, address)) => {
                self.accepted += 1;
                AcceptOutcome::Connection(AcceptedConnection {
                    fd,
                    server_id: self.server_id,
                    is_tls: self.is_tls,
                    peer: address.as_socket().map_or(PeerAddr::Unix, PeerAddr::Ip),
                    transfer: None,
                })
            }
            Err(error) => classify_error(error),
        }
    }
}

/// The maximum number of open descriptors of the process (`RLIMIT_NOFILE`).
pub fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of our own. If the call fails, there is no known
    // limit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { u64::MAX }
}

/// Describes a failure to accept for the error log, with what to do about it.
pub fn describe_failure(error: &io::Error) -> String {
    let advice = match error.raw_os_error() {
        Some(libc::EMFILE) => {
            ". The process has too many open files: raise the limit with LimitNOFILE= in a systemd \
             unit, `ulimit -n` in a shell of root, or --ulimit nofile= of Docker"
        }
        Some(libc::ENFILE) => ". The system has too many open files: raise fs.file-max",
        _ => "",
    };
    format!("accepting failed: {error}{advice}")
}

/// Classifies an error by accept(2): it also reports network errors that were already pending on
/// the new connection, after which the caller should retry.
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
    // SAFETY: the pointers are the caller's, passed on unchanged.
    unsafe { libc::accept4(listener.as_raw_fd(), address, len, flags) }
}

#[cfg(not(target_os = "linux"))]
unsafe fn accept_raw(
    listener: &OwnedFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> i32 {
    // SAFETY: the pointers are the caller's, passed on unchanged; the descriptor is new when its
    // flags are set. If that fails it is closed, since a blocking one would stop the I/O thread.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_described_with_a_remedy() {
        let describe = |code| describe_failure(&io::Error::from_raw_os_error(code));
        assert!(describe(libc::EMFILE).contains("LimitNOFILE="));
        assert!(describe(libc::ENFILE).contains("fs.file-max"));
        assert_eq!(describe(libc::EBADF), "accepting failed: Bad file descriptor (os error 9)");
    }
}
