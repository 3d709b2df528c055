//! Listening sockets: binding them, and the acceptor thread that takes connections from them.
//!
//! All workers share one listener an address; nobody owns the connections in its queue until somebody
//! takes them. Each worker has one acceptor thread with a poller of its own. Which worker takes is
//! decided by the gate: whoever has too many leaves the connection and kick_fds the worker that
//! has the fewest. What to do with an accepted connection is not decided here.

mod accept;
mod acceptor;
mod balancer;
mod bind;
mod poller;

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

pub(crate) use accept::descriptor_limit;
pub use bind::{
    LocalAddress, TcpOptions, adopt_listener, bind_tcp, bind_unix, count_pending_connections,
    listen_on, local_address,
};

use crate::runtime::executor::AbortOnPanic;
use crate::scoreboard::{Board, SlotRef};
use acceptor::AcceptLoop;

/// An accepted connection: non-blocking, closed on exec, without Nagle's delay if it is TCP.
#[derive(Debug)]
pub struct AcceptedConnection {
    /// The connection.
    pub fd: OwnedFd,
    /// What its listener was added with.
    pub server_id: u32,
    /// Its listener speaks TLS.
    pub is_tls: bool,
    /// The other end.
    pub peer: PeerAddr,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerAddr {
    /// TCP.
    Ip(SocketAddr),
    /// A unix socket's client has no address worth telling.
    Unix,
}

/// What an acceptor is told at its start.
pub struct AcceptorOptions {
    /// Where this worker stands among others; without it every connection is taken.
    pub worker_slot: Option<WorkerSlot>,
    /// The arbiter's end of the world: when the other side of this socket is gone, so is the arbiter.
    /// It is copied and never read.
    pub lifeline: Option<RawFd>,
    /// With so many requests in hand the worker leaves connections to others, if there are any.
    pub max_in_flight: u32,
    /// Called on the acceptor's thread when the lifeline ended and the listeners are closed.
    pub on_orphaned: Box<dyn Fn() + Send>,
    /// Called on the acceptor's thread when accepting fails: at most every ten seconds for
    /// want of descriptors or memory, and for each listener that is given up.
    pub on_error: Box<dyn Fn(io::Error) + Send>,
    /// Called on the acceptor's thread whenever a connection waits for want of descriptors or memory.
    pub on_shortage: Box<dyn Fn() + Send>,
}

/// A place on the board, and the means to kick the others.
pub struct WorkerSlot {
    /// This worker's slot.
    pub slot: SlotRef,
    /// The event descriptors of all slots, in order; they must stay open. None at all means that the
    /// workers do not share their listeners (each has its own, by `SO_REUSEPORT`), so that nothing
    /// may be left to others.
    pub kick_fds: Vec<RawFd>,
    /// The workers have more busy threads than processors: this one's I/O thread interrupts none of them.
    pub is_oversubscribed: bool,
}

/// Starts acceptors.
pub struct Acceptor;

/// An acceptor from the outside. Each method returns when the acceptor's thread has done it: after
/// `remove` or `pause` no connection comes any more. Called on that thread itself, from one of its
/// callbacks, they take effect right after the callback. Dropping it stops the acceptor.
pub struct AcceptorHandle {
    commands: Arc<CommandQueue>,
    slot: SlotRef,
    thread: Option<JoinHandle<()>>,
}

/// What is asked of an acceptor's thread.
enum AcceptorCommand {
    Add(OwnedFd, u32, bool),
    CloseListeners,
    Pause,
    Remove(u32),
    Resume,
    Stop,
}

/// Whether an acceptor waits for want of descriptors, and the means to end that.
pub(crate) struct ShortageHandle(Arc<CommandQueue>);

/// Commands on their way to the thread, and what wakes it.
struct CommandQueue {
    /// The thread waits for descriptors or memory.
    is_exhausted: AtomicBool,
    /// `None` once nobody reads it any more.
    pending: Mutex<Option<VecDeque<PendingCommand>>>,
    waker: UnixStream,
}

struct PendingCommand {
    command: AcceptorCommand,
    /// Takes what the command has come to: connections, for `Remove`.
    done: SyncSender<u64>,
}

impl Acceptor {
    /// Starts a thread that hands what it accepts to `accepted`, a batch at a time. Without a seat it
    /// counts on a slot of its own, see [`AcceptorHandle::slot`].
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no descriptor, or a seat's kick_fds are not one a slot.
    pub fn start(
        options: AcceptorOptions,
        accepted: impl Fn(Vec<AcceptedConnection>) + Send + 'static,
    ) -> io::Result<AcceptorHandle> {
        let slot = match &options.worker_slot {
            Some(worker_slot) => worker_slot.slot.clone(),
            None => Board::create(1)?.slot(1)?,
        };
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let commands = Arc::new(CommandQueue {
            is_exhausted: AtomicBool::new(false),
            pending: Mutex::new(Some(VecDeque::new())),
            waker,
        });
        let accept_loop = AcceptLoop::new(
            options,
            slot.clone(),
            woken,
            Arc::clone(&commands),
            Box::new(accepted),
        )?;
        let thread = thread::Builder::new().name("acceptor".to_owned()).spawn(move || {
            let _abort = AbortOnPanic;
            accept_loop.run();
        })?;
        Ok(AcceptorHandle { commands, slot, thread: Some(thread) })
    }
}

impl AcceptorHandle {
    /// Accepts from a listener, non-blocking and listening already. The acceptor owns it: for an
    /// address to become free at once when the arbiter dies, no copy may stay in this process. What comes from it is
    /// `is_tls` if that is said here.
    pub fn add(&self, listener: OwnedFd, server_id: u32, is_tls: bool) {
        self.send(AcceptorCommand::Add(listener, server_id, is_tls));
    }

    /// Closes the listeners that were added with `server_id` and returns how many connections were taken from them.
    pub fn remove(&self, server_id: u32) -> u64 {
        self.send(AcceptorCommand::Remove(server_id))
    }

    /// Takes no more connections until `resume`; they stay in the queue for others.
    pub fn pause(&self) {
        self.send(AcceptorCommand::Pause);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.send(AcceptorCommand::Resume);
    }

    /// Closes all listeners.
    pub fn close_listeners(&self) {
        self.send(AcceptorCommand::CloseListeners);
    }

    /// Closes all listeners and ends the thread.
    pub fn stop(&mut self) {
        self.send(AcceptorCommand::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic there would have ended the process.
            let _ = thread.join();
        }
    }

    /// For whoever frees descriptors.
    pub(crate) fn shortage(&self) -> ShortageHandle {
        ShortageHandle(self.commands.clone())
    }

    /// The slot on which connections are counted: whoever closes one tells it there.
    #[must_use]
    pub fn slot(&self) -> &SlotRef {
        &self.slot
    }

    fn send(&self, command: AcceptorCommand) -> u64 {
        let (done, wait) = sync_channel(1);
        if !self.commands.put(PendingCommand { command, done }) {
            return 0;
        }
        let own_thread = self.thread.as_ref().map(|thread| thread.thread().id());
        if own_thread == Some(thread::current().id()) {
            return 0;
        }
        // An error means that the thread has ended, and with it all listeners are closed.
        wait.recv().unwrap_or(0)
    }
}

impl Drop for AcceptorHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ShortageHandle {
    pub fn is_active(&self) -> bool {
        self.0.is_exhausted.load(Ordering::Relaxed)
    }

    /// A descriptor is free again.
    pub fn clear(&self) {
        if self.0.is_exhausted.swap(false, Ordering::Relaxed) {
            self.0.wake();
        }
    }
}

impl CommandQueue {
    fn put(&self, pending_command: PendingCommand) -> bool {
        match self.lock().as_mut() {
            Some(pending) => pending.push_back(pending_command),
            None => return false,
        }
        self.wake();
        true
    }

    fn wake(&self) {
        // A full pipe means that the thread has been woken already.
        let _ = (&self.waker).write(&[1]);
    }

    fn take(&self) -> Option<PendingCommand> {
        self.lock().as_mut()?.pop_front()
    }

    fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<PendingCommand>>> {
        // Nothing in here panics while it is held.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
