//! The sockets of an I/O thread: one set of the system's for all of them, in which the thread waits.
//!
//! A socket is put into it once, by whoever accepts it, and is watched for reading alone until it takes no more. It stays
//! there until it is closed: a connection that parks or comes back costs no call, and one that is accepted wakes nobody
//! before its first byte is there.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token, Waker};
use socket2::SockRef;

use crate::runtime::executor::TaskWaker;
use crate::server::connection::resume;
use crate::server::context::Context;

/// The set, and who is told of each descriptor in it.
pub(crate) struct SocketSet {
    poll: RefCell<mio::Poll>,
    events: RefCell<Events>,
    /// By descriptor: the system gives the lowest free number.
    watched: RefCell<Vec<Watch>>,
}

#[derive(Default)]
enum Watch {
    #[default]
    Unassigned,
    /// It was accepted, and has something to read before it has been begun with.
    Unclaimed {
        ended: bool,
    },
    Served(Rc<Readiness>),
    /// The connection with this id waits without a task.
    Idle(u32),
}

/// What is known of a socket since it was tried last, and who waits for more.
#[derive(Default)]
struct Readiness {
    readable: Cell<bool>,
    /// The client's side has ended: whatever is read, there is more to hear.
    ended: Cell<bool>,
    full: Cell<bool>,
    /// The set tells when it can be written to.
    is_watched_for_write: Cell<bool>,
    reader: TaskWaker,
    writer: TaskWaker,
}

/// A connected, non-blocking socket in the set.
pub(crate) struct Socket {
    readiness: Rc<Readiness>,
    fd: RegisteredFd,
    is_tcp: bool,
    /// What is written next is followed by the end at once.
    is_next_write_last: Cell<bool>,
}

/// A descriptor in the set, which it leaves when this is dropped.
pub(crate) struct RegisteredFd {
    fd: OwnedFd,
    sockets: Rc<SocketSet>,
}

/// What other threads have of the set.
pub(crate) struct SocketRegistrar {
    registry: Registry,
    waker: Waker,
}

impl SocketRegistrar {
    /// From now on the thread of the set wakes when the socket has something to read.
    pub fn register(&self, fd: &OwnedFd) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), Token(fd as usize), Interest::READABLE)
    }

    /// Ends the wait of the thread of the set, or its next one.
    pub fn wake(&self) {
        // The counter behind it is full only if the thread has been woken already.
        let _ = self.waker.wake();
    }
}

impl SocketSet {
    pub fn new(poll: mio::Poll) -> Self {
        let events = RefCell::new(Events::with_capacity(MAX_EVENTS));
        Self { poll: RefCell::new(poll), events, watched: RefCell::default() }
    }

    /// A set and its registrar.
    pub fn create() -> io::Result<(mio::Poll, SocketRegistrar)> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE_TOKEN)?;
        Ok((poll, SocketRegistrar { registry, waker }))
    }

    /// Tells whoever waits for a socket what has become of it. Waits so long at most for something to tell of; `None` is
    /// without end.
    pub fn dispatch_events(ctx: &Rc<Context>, time: Option<Duration>) {
        let sockets = &ctx.sockets;
        let mut events = sockets.events.borrow_mut();
        // After a signal nothing has been told yet.
        if sockets.poll.borrow_mut().poll(&mut events, time).is_ok() {
            for event in events.iter().filter(|event| event.token() != WAKE_TOKEN) {
                sockets.dispatch(ctx, event);
            }
        }
    }

    fn dispatch(&self, ctx: &Rc<Context>, event: &Event) {
        let fd = event.token().0;
        let watched = self.watched.borrow();
        match watched.get(fd) {
            Some(Watch::Served(readiness)) => readiness.note(event),
            Some(&Watch::Idle(id)) => {
                drop(watched);
                resume(ctx, id);
                if let Some(Watch::Served(readiness)) = self.watched.borrow().get(fd) {
                    readiness.note(event);
                }
            }
            // Or it was closed after the system had told of it: then the next one with this number reads once in vain.
            Some(Watch::Unassigned | Watch::Unclaimed { .. }) | None => {
                drop(watched);
                self.set_watch(fd, Watch::Unclaimed { ended: has_ended(event) });
                ctx.handoff.wake();
            }
        }
    }

    /// Says who is told of a descriptor, and returns who was.
    fn set_watch(&self, fd: usize, value: Watch) -> Watch {
        let mut watched = self.watched.borrow_mut();
        if fd >= watched.len() {
            watched.resize_with(fd + 1, Watch::default);
        }
        std::mem::replace(&mut watched[fd], value)
    }
}

impl Readiness {
    fn note(&self, event: &Event) {
        let ended = has_ended(event);
        if ended {
            self.ended.set(true);
        }
        if ended || event.is_readable() {
            self.readable.set(true);
            self.reader.wake();
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            self.full.set(false);
            self.writer.wake();
        }
    }
}

fn has_ended(event: &Event) -> bool {
    event.is_read_closed() || event.is_error()
}

impl RegisteredFd {
    /// A descriptor that has entered the set.
    pub fn new(fd: OwnedFd, sockets: &Rc<SocketSet>) -> Self {
        Self { fd, sockets: sockets.clone() }
    }

    /// Its socket.
    pub fn into_socket(self, is_tcp: bool) -> Socket {
        let readiness = Rc::new(Readiness::default());
        let before = self.replace_watch(Watch::Served(readiness.clone()));
        if let Watch::Unclaimed { ended } = before {
            readiness.readable.set(true);
            readiness.ended.set(ended);
        }
        Socket { readiness, fd: self, is_tcp, is_next_write_last: Cell::new(false) }
    }

    /// Says who is told of it, and returns who was.
    fn replace_watch(&self, watched: Watch) -> Watch {
        self.sockets.set_watch(self.fd.as_raw_fd() as usize, watched)
    }
}

impl AsFd for RegisteredFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for RegisteredFd {
    /// Before the system gives the number to another one.
    fn drop(&mut self) {
        self.replace_watch(Watch::Unassigned);
    }
}

impl Socket {
    /// Whether the next thing to happen to it will be told.
    pub fn can_make_idle(&self) -> bool {
        !self.readiness.readable.get()
    }

    /// Lets go of all but the descriptor: when there is something to read the connection with this id comes back.
    pub fn make_idle(self, id: u32) -> RegisteredFd {
        self.fd.replace_watch(Watch::Idle(id));
        self.fd
    }

    /// Reads what is there: `Ready(0)` is the end of input.
    pub fn poll_read(
        &mut self,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let readiness = &self.readiness;
        while readiness.readable.get() {
            match (&*SockRef::from(&self.fd)).read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    readiness.readable.set(false);
                    // What was told was of one before it that had the same number.
                    readiness.ended.set(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    // The set tells of what comes from now on.
                    if result.as_ref().is_ok_and(|count| *count < buf.len()) {
                        readiness.readable.set(readiness.ended.get());
                    }
                    return Poll::Ready(result);
                }
            }
        }
        readiness.reader.note(cx);
        Poll::Pending
    }

    /// What is written next is followed by [`Self::shutdown`] or a close in the same turn, and goes in one packet with it.
    pub fn mark_next_write_last(&self) {
        self.is_next_write_last.set(true);
    }

    /// Writes as much as the socket takes.
    pub fn poll_write(
        &mut self,
        cx: &mut TaskContext<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.try_write(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.writer.note(cx);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// The same for whoever does not wait.
    pub fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let readiness = &self.readiness;
        if readiness.full.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let flags =
            if self.is_next_write_last.take() { SEND_FLAGS | MORE_FOLLOWS } else { SEND_FLAGS };
        loop {
            let socket = SockRef::from(&self.fd);
            // One slice is the rule, and `send` is cheaper than `sendmsg`.
            let (len, result) = match slices {
                [one] => (one.len(), socket.send_with_flags(one, flags)),
                many => (
                    many.iter().map(|slice| slice.len()).sum(),
                    socket.send_vectored_with_flags(many, flags),
                ),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(ref error) if error.kind() == io::ErrorKind::WouldBlock => self.mark_full()?,
                Ok(count) if count < len => self.mark_full()?,
                _ => {}
            }
            return result;
        }
    }

    /// It takes no more: the set tells when it does again, from the first time on.
    fn mark_full(&self) -> io::Result<()> {
        let readiness = &self.readiness;
        readiness.full.set(true);
        if !readiness.is_watched_for_write.replace(true) {
            let fd = self.fd.fd.as_raw_fd();
            let both = Interest::READABLE | Interest::WRITABLE;
            let poll = self.fd.sockets.poll.borrow();
            poll.registry().reregister(&mut SourceFd(&fd), Token(fd as usize), both)?;
            self.bound_send_buffer();
        }
        Ok(())
    }

    /// To a client on this machine the way is short: what the system would let its buffer grow to leaves the processor's
    /// cache before the client reads it. A client that is far away needs the buffer that the system gives it.
    fn bound_send_buffer(&self) {
        let socket = SockRef::from(&self.fd);
        let is_large =
            socket.send_buffer_size().is_ok_and(|size| size > MAX_LOOPBACK_SEND_BUFFER_BYTES);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if is_large && peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            // Linux takes twice as much, for what it keeps with the bytes. Refused, it stays as it is.
            let _ = socket.set_send_buffer_size(MAX_LOOPBACK_SEND_BUFFER_BYTES / 2);
        }
    }

    /// Half-closes: the peer reads to the end of what was sent.
    pub fn shutdown(&self) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.fd).shutdown(Shutdown::Write))
    }

    /// The error that the socket has met since it was asked last.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.fd).take_error()
    }

    pub fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// The address of our end, of TCP.
    pub fn local_address(&self) -> Option<SocketAddr> {
        SockRef::from(&self.fd).local_addr().ok()?.as_socket()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What is told of it is that somebody has woken the thread.
const WAKE_TOKEN: Token = Token(usize::MAX);
/// SocketSet that are told of at once.
const MAX_EVENTS: usize = 256;
/// Less than the caches of processors, and some packets of the loopback.
const MAX_LOOPBACK_SEND_BUFFER_BYTES: usize = 524_288;
/// A peer that is gone is an error here and no signal to the process.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;
/// More comes at once: the end, for which the last packet waits. Elsewhere the end is a packet of its own.
#[cfg(target_os = "linux")]
const MORE_FOLLOWS: i32 = libc::MSG_MORE;
#[cfg(not(target_os = "linux"))]
const MORE_FOLLOWS: i32 = 0;
