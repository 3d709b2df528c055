//! The poller of the acceptor thread: it waits for commands, kicks, the lifeline and the listeners.
//!
//! On Linux, the listeners are in an epoll set of the thread's own, with EPOLLEXCLUSIVE. So a
//! connection wakes one waiting process instead of all, and skips a process that is stopped or
//! busy. The flag works only in a set that a thread waits on directly, not in a nested set. On
//! other systems, `poll` wakes every process, and all but one find the queue empty.

#![expect(unsafe_code, reason = "epoll, poll, and copies of descriptors known by number")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

#[cfg(target_os = "linux")]
pub(super) use epoll::Poller;
#[cfg(not(target_os = "linux"))]
pub(super) use fallback::Poller;

/// The events of a wait that need handling. Kicks and listeners are not reported: the caller
/// examines the queues after every wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    /// Whether commands are pending.
    pub(super) has_commands: bool,
    /// Whether other workers have transferred connections to this one.
    pub(super) has_transfers: bool,
    /// Whether the other end of the lifeline is closed: the arbiter has exited.
    pub(super) is_orphaned: bool,
}

/// Whether one of the listeners has a connection in its queue.
pub(super) fn any_pending<'a>(listeners: impl Iterator<Item = &'a OwnedFd>) -> bool {
    listeners
        .map(|fd| interest(fd, libc::POLLIN))
        .any(|each| poll(&mut [each], 0).is_ok_and(|ready| ready > 0))
}

/// Kicks a worker: writes to the event descriptor that its acceptor waits for.
pub(super) fn signal(kick: RawFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: the buffer is alive and eight bytes long. The possible errors are a full counter,
    // which wakes too, and a closed descriptor, which wakes no process.
    unsafe { libc::write(kick, one.as_ptr().cast(), one.len()) };
}

/// Reads the pending bytes, so that they do not wake the thread again.
pub(super) fn drain(fd: &impl AsRawFd) {
    let mut buffer = [0_u8; 64];
    // SAFETY: the buffer is alive and of this length; the descriptor does not block.
    while unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }
        == buffer.len() as isize
    {}
}

/// Duplicates a descriptor that is known only by number.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; a descriptor that is not negative is new and ours.
    unsafe {
        let new = check(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(new))
    }
}

fn interest(fd: &impl AsRawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }
}

fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> io::Result<i32> {
    // SAFETY: the slice is alive, and is passed with its length.
    check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) })
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(target_os = "linux")]
mod epoll {
    use std::os::unix::net::UnixStream;

    #[allow(
        clippy::wildcard_imports,
        reason = "the half of this module that a system decides"
    )]
    use super::*;

    pub(in super::super) struct Poller {
        epoll: OwnedFd,
        wake_receiver: UnixStream,
        kick: Option<OwnedFd>,
        lifeline: Option<OwnedFd>,
    }

    impl Poller {
        pub(in super::super) fn new(
            wake_receiver: UnixStream,
            kick: Option<OwnedFd>,
            inbox: Option<&OwnedFd>,
            lifeline: Option<OwnedFd>,
        ) -> io::Result<Self> {
            // SAFETY: no pointers; a descriptor that is not negative is new and ours.
            let epoll =
                unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
            let poller = Self { epoll, wake_receiver, kick, lifeline };
            poller.add(&poller.wake_receiver, libc::EPOLLIN, COMMANDS)?;
            if let Some(kick) = &poller.kick {
                poller.add(kick, libc::EPOLLIN, KICK)?;
            }
            if let Some(inbox) = inbox {
                poller.add(inbox, libc::EPOLLIN, INBOX)?;
            }
            if let Some(lifeline) = &poller.lifeline {
                // Not EPOLLIN: data on the lifeline is for JavaScript.
                poller.add(lifeline, libc::EPOLLRDHUP, LIFELINE)?;
            }
            Ok(poller)
        }

        /// Adds a listener to the set.
        pub(in super::super) fn arm(&mut self, listener: &OwnedFd) -> io::Result<()> {
            self.add(listener, libc::EPOLLIN | libc::EPOLLEXCLUSIVE, LISTENER)
        }

        /// Removes a listener from the set. Call it before closing the descriptor: the kernel keeps
        /// the entry while another process has the socket open.
        pub(in super::super) fn disarm(&mut self, listener: &OwnedFd) {
            self.delete(listener);
        }

        /// Waits for events, forever without a timeout. The `listeners` are in the set already.
        pub(in super::super) fn wait<'a>(
            &mut self,
            timeout_ms: Option<i32>,
            _listeners: impl Iterator<Item = &'a OwnedFd>,
        ) -> io::Result<Ready> {
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
            // SAFETY: the array is alive, and is passed with its length.
            let count = check(unsafe {
                libc::epoll_wait(
                    self.epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    events.len() as i32,
                    timeout_ms.unwrap_or(-1),
                )
            })?;
            let mut ready = Ready::default();
            for event in events.iter().take(count as usize) {
                match event.u64 {
                    COMMANDS => {
                        ready.has_commands = true;
                        drain(&self.wake_receiver);
                    }
                    INBOX => ready.has_transfers = true,
                    KICK => self.kick.iter().for_each(drain),
                    LIFELINE => {
                        ready.is_orphaned = true;
                        // The lifeline would report its end in every further wait, and nothing
                        // else.
                        if let Some(lifeline) = self.lifeline.take() {
                            self.delete(&lifeline);
                        }
                    }
                    _ => {}
                }
            }
            Ok(ready)
        }

        fn add(&self, fd: &impl AsRawFd, events: i32, token: u64) -> io::Result<()> {
            let mut event = libc::epoll_event { events: events as u32, u64: token };
            let (epoll, fd) = (self.epoll.as_raw_fd(), fd.as_raw_fd());
            // SAFETY: the event is alive through the call.
            check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })
                .map(drop)
        }

        fn delete(&self, fd: &impl AsRawFd) {
            let (epoll, fd) = (self.epoll.as_raw_fd(), fd.as_raw_fd());
            // SAFETY: no pointers. The one possible error is that it is not in the set.
            unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
        }
    }

    const COMMANDS: u64 = 0;
    const KICK: u64 = 1;
    const LIFELINE: u64 = 2;
    const LISTENER: u64 = 3;
    const INBOX: u64 = 4;
}

#[cfg(not(target_os = "linux"))]
mod fallback {
    use std::os::unix::net::UnixStream;

    use super::*;

    pub(in super::super) struct Poller {
        wake_receiver: UnixStream,
        lifeline: Option<OwnedFd>,
    }

    impl Poller {
        /// There are no kicks, and no connections from other workers.
        pub(in super::super) fn new(
            wake_receiver: UnixStream,
            _kick: Option<OwnedFd>,
            _inbox: Option<&OwnedFd>,
            lifeline: Option<OwnedFd>,
        ) -> io::Result<Self> {
            Ok(Self { wake_receiver, lifeline })
        }

        pub(in super::super) fn arm(&mut self, _listener: &OwnedFd) -> io::Result<()> {
            Ok(())
        }

        pub(in super::super) fn disarm(&mut self, _listener: &OwnedFd) {}

        /// Waits for events, forever without a timeout, including those of `listeners`.
        pub(in super::super) fn wait<'a>(
            &mut self,
            timeout_ms: Option<i32>,
            listeners: impl Iterator<Item = &'a OwnedFd>,
        ) -> io::Result<Ready> {
            let mut polled = vec![interest(&self.wake_receiver, libc::POLLIN)];
            // Only POLLHUP, which is always reported: data on the lifeline is for JavaScript.
            polled.extend(self.lifeline.iter().map(|fd| interest(fd, 0)));
            let fixed = polled.len();
            polled.extend(listeners.map(|fd| interest(fd, libc::POLLIN)));
            poll(&mut polled, timeout_ms.unwrap_or(-1))?;
            let ready = Ready {
                has_commands: polled[0].revents != 0,
                has_transfers: false,
                is_orphaned: fixed == 2 && polled[1].revents != 0,
            };
            if ready.has_commands {
                drain(&self.wake_receiver);
            }
            if ready.is_orphaned {
                self.lifeline = None;
            }
            Ok(ready)
        }
    }
}
