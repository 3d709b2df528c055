//! The sockets of a loop, in one epoll (or kqueue) set that the thread with the loop waits on.
//!
//! The acceptor registers a socket once, for reading alone, until it cannot take all that is
//! written to it. The socket stays in the set until it is closed. So a connection that becomes idle
//! or resumes costs no system call, and an accepted one wakes the thread only when its first byte
//! has arrived.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use socket2::SockRef;

use crate::runtime::executor::{OperationBudget, TaskWaker};
use crate::runtime::loopback;
use crate::runtime::registrar::WAKE_TOKEN;

/// The set, and the recipient of each descriptor's events.
pub(crate) struct SocketSet {
    poll: RefCell<mio::Poll>,
    few_events: RefCell<Events>,
    many_events: RefCell<Events>,
    /// Indexed by descriptor: the system always assigns the lowest free number.
    watches: RefCell<Vec<Watch>>,
    /// Reads and writes that the running task has left in this turn.
    budget: OperationBudget,
    /// Memory that the sockets' streams use within one call. It keeps nothing between two calls.
    scratch: RefCell<Vec<u8>>,
}

/// An event of a socket that no task waits for.
pub(crate) enum TasklessEvent {
    /// The idle connection with this id has become readable.
    Idle(u32),
    /// A socket that was accepted has become readable, and its connection has not been started.
    Unclaimed,
}

/// How many events to take in one call.
#[derive(Clone, Copy)]
pub(crate) enum EventCount {
    /// [`FEW_EVENTS`].
    Few,
    /// [`MANY_EVENTS`].
    Many,
}

/// The recipient of a descriptor's events.
#[derive(Default)]
enum Watch {
    /// No recipient.
    #[default]
    Unassigned,
    /// The socket was accepted and is readable, but its connection has not been started.
    Unclaimed { read_closed: bool },
    /// The tasks that wait for a socket.
    Served(Rc<Readiness>),
    /// The connection with this id is idle: it has no task.
    Idle(u32),
}

/// The readiness of a socket since the last try, and the tasks that wait for it.
#[derive(Default)]
struct Readiness {
    /// Whether a read may succeed.
    is_readable: Cell<bool>,
    /// The client has closed its sending side, so a short read does not mean that the socket is
    /// drained.
    read_closed: Cell<bool>,
    /// Whether the send buffer is full.
    is_full: Cell<bool>,
    /// The set reports writability too.
    is_watched_for_write: Cell<bool>,
    /// The task that waits to read.
    reader: TaskWaker,
    /// The task that waits to write.
    writer: TaskWaker,
}

/// A connected, non-blocking socket in the set.
pub(crate) struct Socket {
    readiness: Rc<Readiness>,
    fd: RegisteredFd,
    is_tcp: bool,
    /// A shutdown or close follows the next write at once.
    is_next_write_last: Cell<bool>,
}

/// A descriptor in the set. Dropping it closes it, which removes it from the set.
pub(crate) struct RegisteredFd {
    fd: OwnedFd,
    sockets: Rc<SocketSet>,
}

impl SocketSet {
    /// Wraps the poll instance of a registrar. The tasks that use the sockets have this budget.
    pub fn new(poll: mio::Poll, budget: OperationBudget) -> Self {
        Self {
            poll: RefCell::new(poll),
            few_events: RefCell::new(Events::with_capacity(FEW_EVENTS)),
            many_events: RefCell::new(Events::with_capacity(MANY_EVENTS)),
            watches: RefCell::default(),
            budget,
            scratch: RefCell::default(),
        }
    }

    /// Waits for events, up to `time` (forever for `None`), and wakes the tasks that wait for them.
    /// Passes the other events to `on_taskless`, which may give an idle connection a task.
    pub fn dispatch_events(
        &self,
        time: Option<Duration>,
        count: EventCount,
        mut on_taskless: impl FnMut(TasklessEvent),
    ) {
        let mut events = match count {
            EventCount::Few => self.few_events.borrow_mut(),
            EventCount::Many => self.many_events.borrow_mut(),
        };
        // An error is an interrupting signal, with no events.
        if self.poll.borrow_mut().poll(&mut events, time).is_ok() {
            for event in events.iter().filter(|event| event.token() != WAKE_TOKEN) {
                self.dispatch(event, &mut on_taskless);
            }
        }
    }

    fn dispatch(&self, event: &Event, on_taskless: &mut impl FnMut(TasklessEvent)) {
        let fd = event.token().0;
        let watches = self.watches.borrow();
        match watches.get(fd) {
            Some(Watch::Served(readiness)) => readiness.apply(event),
            Some(&Watch::Idle(id)) => {
                drop(watches);
                on_taskless(TasklessEvent::Idle(id));
                if let Some(Watch::Served(readiness)) = self.watches.borrow().get(fd) {
                    readiness.apply(event);
                }
            }
            // Or the socket was closed after the system had reported the event: the next socket
            // with this number then tries one read in vain.
            Some(Watch::Unassigned | Watch::Unclaimed { .. }) | None => {
                drop(watches);
                self.set_watch(fd, Watch::Unclaimed { read_closed: is_read_closed(event) });
                on_taskless(TasklessEvent::Unclaimed);
            }
        }
    }

    /// Removes a descriptor that stays open in another process: the system would go on to report
    /// its events.
    pub fn deregister(&self, fd: &impl AsRawFd) {
        // The one possible error is that it is not in the set.
        let _ = self.poll.borrow().registry().deregister(&mut SourceFd(&fd.as_raw_fd()));
    }

    /// Passes `len` bytes of scratch memory to `work`, whose content nothing needs afterwards.
    pub fn with_scratch<T>(&self, len: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut scratch = self.scratch.borrow_mut();
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        work(&mut scratch[..len])
    }

    /// Sets the recipient of a descriptor's events and returns the previous one.
    fn set_watch(&self, fd: usize, value: Watch) -> Watch {
        let mut watches = self.watches.borrow_mut();
        if fd >= watches.len() {
            watches.resize_with(fd + 1, Watch::default);
        }
        std::mem::replace(&mut watches[fd], value)
    }
}

impl Readiness {
    fn apply(&self, event: &Event) {
        let read_closed = is_read_closed(event);
        if read_closed {
            self.read_closed.set(true);
        }
        if read_closed || event.is_readable() {
            self.is_readable.set(true);
            self.reader.wake();
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            self.is_full.set(false);
            self.writer.wake();
        }
    }
}

fn is_read_closed(event: &Event) -> bool {
    event.is_read_closed() || event.is_error()
}

impl RegisteredFd {
    /// Wraps a descriptor that is registered in the set.
    pub fn new(fd: OwnedFd, sockets: &Rc<SocketSet>) -> Self {
        Self { fd, sockets: sockets.clone() }
    }

    /// Turns it into a socket that a task reads from and writes to.
    pub fn into_socket(self, is_tcp: bool) -> Socket {
        let readiness = Rc::new(Readiness::default());
        let before = self.replace_watch(Watch::Served(readiness.clone()));
        if let Watch::Unclaimed { read_closed } = before {
            readiness.is_readable.set(true);
            readiness.read_closed.set(read_closed);
        }
        Socket { readiness, fd: self, is_tcp, is_next_write_last: Cell::new(false) }
    }

    /// Sets the recipient of its events and returns the previous one.
    fn replace_watch(&self, watches: Watch) -> Watch {
        self.sockets.set_watch(self.fd.as_raw_fd() as usize, watches)
    }
}

impl AsFd for RegisteredFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for RegisteredFd {
    /// Resets the entry before the system reuses the number.
    fn drop(&mut self) {
        self.replace_watch(Watch::Unassigned);
    }
}

impl Socket {
    /// Reads and writes that the running task has left in this turn.
    pub fn budget(&self) -> &OperationBudget {
        &self.fd.sockets.budget
    }

    /// Returns the set that the socket is in.
    pub fn set(&self) -> &Rc<SocketSet> {
        &self.fd.sockets
    }

    /// Whether the next event of the socket will be reported, so that no task needs to wait for it.
    pub fn can_make_idle(&self) -> bool {
        !self.readiness.is_readable.get()
    }

    /// Keeps only the descriptor: once it is readable, the connection with this id resumes.
    pub fn make_idle(self, id: u32) -> RegisteredFd {
        self.fd.replace_watch(Watch::Idle(id));
        self.fd
    }

    /// Reads available bytes: `Ready(0)` is the end of input.
    pub fn poll_read(
        &mut self,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let readiness = &self.readiness;
        while readiness.is_readable.get() {
            match (&*SockRef::from(&self.fd)).read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    readiness.is_readable.set(false);
                    // The event belonged to an earlier socket with the same number.
                    readiness.read_closed.set(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    // A short read has drained the socket: the set reports later bytes.
                    if result.as_ref().is_ok_and(|count| *count < buf.len()) {
                        readiness.is_readable.set(readiness.read_closed.get());
                    }
                    return Poll::Ready(result);
                }
            }
        }
        readiness.reader.register(cx);
        Poll::Pending
    }

    /// Announces that [`Self::shutdown`] or a close follows the next write in the same turn, so
    /// that both leave in one packet.
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
                self.readiness.writer.register(cx);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// Like `poll_write`, without registering a task to wake.
    pub fn try_write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let readiness = &self.readiness;
        if readiness.is_full.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let flags =
            if self.is_next_write_last.take() { SEND_FLAGS | MORE_FOLLOWS } else { SEND_FLAGS };
        loop {
            let socket = SockRef::from(&self.fd);
            // Nearly every write has one slice, and `send` is cheaper than `sendmsg`.
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

    /// Notes that the socket takes no more. From the first time on, the set reports when it does
    /// again.
    fn mark_full(&self) -> io::Result<()> {
        let readiness = &self.readiness;
        readiness.is_full.set(true);
        if !readiness.is_watched_for_write.replace(true) {
            let fd = self.fd.fd.as_raw_fd();
            let both = Interest::READABLE | Interest::WRITABLE;
            let poll = self.fd.sockets.poll.borrow();
            poll.registry().reregister(&mut SourceFd(&fd), Token(fd as usize), both)?;
            loopback::bound_send_buffer(&self.fd);
        }
        Ok(())
    }

    /// Shuts down the sending side: the peer reads to the end of what was sent.
    pub fn shutdown(&self) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.fd).shutdown(Shutdown::Write))
    }

    /// The pending error of the socket (`SO_ERROR`), which this clears.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.fd).take_error()
    }

    /// Whether the socket is TCP, not a unix socket.
    pub fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// The local address of a TCP socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        SockRef::from(&self.fd).local_addr().ok()?.as_socket()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Maximum number of events that the JavaScript thread takes in one call: few, so that what a
/// request uses stays in the processor's cache from its read to its response.
const FEW_EVENTS: usize = 16;
/// The same for the I/O thread, which delivers the events of many sockets at once.
const MANY_EVENTS: usize = 256;
/// A closed peer is an error of the call, not a signal to the process.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;
/// More follows at once: the end of the stream, which is sent with the last packet. Other systems
/// send it in a packet of its own.
#[cfg(target_os = "linux")]
const MORE_FOLLOWS: i32 = libc::MSG_MORE;
#[cfg(not(target_os = "linux"))]
const MORE_FOLLOWS: i32 = 0;
