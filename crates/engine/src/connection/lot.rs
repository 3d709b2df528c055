//! One set for the sockets of all connections that wait: a set of the system's within the runtime's.

#![expect(unsafe_code, reason = "tokio takes a descriptor that it does not own by number")]

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use tokio::io::unix::AsyncFd;
use tokio::task;

use super::resume;
use crate::context::Context;

/// The descriptors of those that wait.
pub(crate) struct Lot {
    poll: RefCell<Poll>,
    /// Somebody watches.
    watched: Cell<bool>,
}

impl Lot {
    pub fn new() -> io::Result<Self> {
        Ok(Self { poll: RefCell::new(Poll::new()?), watched: Cell::new(false) })
    }

    /// Whether somebody would see that a socket has something to read.
    pub fn is_watched(&self) -> bool {
        self.watched.get()
    }

    /// Adds the socket of the connection with this id.
    pub fn watch(&self, fd: &OwnedFd, id: u32) -> io::Result<()> {
        let (poll, token) = (self.poll.borrow(), Token(id as usize));
        poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)
    }

    /// Takes a socket out.
    pub fn forget(&self, fd: &OwnedFd) {
        // An error means that it is not there.
        let _ = self.poll.borrow().registry().deregister(&mut SourceFd(&fd.as_raw_fd()));
    }
}

/// Makes connections of those that have something to read.
pub(crate) async fn attend(ctx: Rc<Context>) {
    let fd = ctx.lot.poll.borrow().as_raw_fd();
    // SAFETY: the set is the context's, which this task holds: the descriptor is open for longer than it is watched.
    let set = unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) };
    // Without it nobody parks.
    let Ok(set) = set else { return };
    ctx.lot.watched.set(true);
    let mut events = Events::with_capacity(EVENTS);
    loop {
        let Ok(mut ready) = set.readable().await else { return ctx.lot.watched.set(false) };
        let polled = ctx.lot.poll.borrow_mut().poll(&mut events, Some(Duration::ZERO));
        if polled.is_err() || events.iter().count() < EVENTS {
            ready.clear_ready();
        }
        for event in &events {
            resume(&ctx, event.token().0 as u32);
        }
        task::yield_now().await;
    }
}

/// Sockets that are seen to at once.
const EVENTS: usize = 256;
