//! The part of a poll set that other threads use.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};

/// The part of the set that other threads use: they register sockets and wake its thread.
pub(crate) struct SocketRegistrar {
    registry: Registry,
    waker: Waker,
}

impl SocketRegistrar {
    /// Creates a poll instance and its registrar.
    pub fn create() -> io::Result<(mio::Poll, Self)> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE_TOKEN)?;
        Ok((poll, Self { registry, waker }))
    }

    /// Registers a socket: its first readable byte wakes the set's thread.
    pub fn register(&self, fd: &OwnedFd) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), Token(fd as usize), Interest::READABLE)
    }

    /// Wakes the set's thread from its current or next wait.
    pub fn wake(&self) {
        // The only possible error is a full counter, and then the thread has been woken already.
        let _ = self.waker.wake();
    }
}

/// The token of the waker, not of a socket.
pub(super) const WAKE_TOKEN: Token = Token(usize::MAX);
