//! Listening sockets: binding them, and the acceptor thread that takes connections from them.
//!
//! All workers share one listener for each address; a connection in its queue belongs to no worker
//! yet. Each worker has one acceptor thread with a poller of its own. The balancer decides which
//! worker takes a connection: a worker with too many does not take it, and kicks the worker with
//! the fewest. The server decides what happens to an accepted connection.

mod accept;
mod acceptor;
mod backoff;
mod balancer;
mod bind;
mod inbox;
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

pub(crate) use accept::{describe_failure, descriptor_limit};
pub use bind::{
    LocalAddress, TcpOptions, adopt_listener, bind_tcp, bind_unix, count_pending_connections,
    listen_on, local_address,
};
pub(crate) use poller::duplicate;

use crate::runtime::executor::AbortOnPanic;
use crate::scoreboard::{Board, SlotRef};
use crate::transport::transfer::{Transfer, WorkerTransfers};
use acceptor::AcceptLoop;

/// An accepted connection: non-blocking, closed on exec and, over TCP, without Nagle's delay.
#[derive(Debug)]
pub struct AcceptedConnection {
    /// The descriptor of the connection.
    pub fd: OwnedFd,
    /// The server that the listener was added for.
    pub server_id: u32,
    /// Whether the listener expects TLS.
    pub is_tls: bool,
    /// The address of the client.
    pub peer: PeerAddr,
    /// Set if another worker has accepted the connection and transferred it to this one.
    pub transfer: Option<Box<Transfer>>,
}

/// The address of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerAddr {
    /// A TCP address.
    Ip(SocketAddr),
    /// A unix socket, whose client has no useful address.
    Unix,
}

/// The settings and callbacks of an acceptor.
pub struct AcceptorOptions {
    /// This worker's slot on the scoreboard; without it, the worker takes every connection.
    pub worker_slot: Option<WorkerSlot>,
    /// A socket to the arbiter. When its other end closes, the arbiter has exited. The descriptor
    /// is duplicated and never read.
    pub lifeline: Option<RawFd>,
    /// With this many requests in flight, the worker takes no connection while another worker can.
    pub max_in_flight: u32,
    /// Called on the acceptor's thread after the arbiter has exited and the listeners are closed.
    pub on_orphaned: Box<dyn Fn() + Send>,
    /// Called on the acceptor's thread when accepting fails: at most every ten seconds while
    /// descriptors or memory run out, and for each listener that is given up.
    pub on_error: Box<dyn Fn(io::Error) + Send>,
    /// Called on the acceptor's thread whenever a connection waits because descriptors or memory
    /// have run out.
    pub on_shortage: Box<dyn Fn() + Send>,
}

/// A worker's slot on the scoreboard, and the event descriptors to kick other workers.
pub struct WorkerSlot {
    /// This worker's slot.
    pub slot: SlotRef,
    /// The event descriptors of all slots, in order; they must stay open. Empty if each worker has
    /// a listener of its own (`SO_REUSEPORT`): no other worker could take its connections.
    pub kick_fds: Vec<RawFd>,
    /// How connections move between the workers; `None` without session affinity.
    pub transfers: Option<WorkerTransfers>,
    /// Whether the workers have more busy threads than processors. Then this worker's I/O thread
    /// uses batch scheduling, so that it preempts none of them.
    pub is_oversubscribed: bool,
}

/// Starts acceptors.
pub struct Acceptor;

/// A handle to an acceptor thread. Each method returns when the thread has executed it: after
/// `remove` or `pause`, no further connection arrives. Called on that thread itself, from one of
/// its callbacks, a method takes effect right after the callback. Dropping the handle stops the
/// acceptor.
pub struct AcceptorHandle {
    commands: Arc<CommandQueue>,
    slot: SlotRef,
    thread: Option<JoinHandle<()>>,
}

/// A command to an acceptor's thread.
enum AcceptorCommand {
    /// Accept from a listener: its descriptor, server id, and whether it expects TLS.
    Add(OwnedFd, u32, bool),
    CloseListeners,
    Pause,
    /// Close the listeners of the server with this id.
    Remove(u32),
    Resume,
    Stop,
}

/// Shows whether an acceptor waits because descriptors or memory have run out, and resumes it.
pub(crate) struct ShortageHandle(Arc<CommandQueue>);

/// The pending commands of an acceptor's thread, and the socket that wakes it.
struct CommandQueue {
    /// Whether the thread waits because descriptors or memory have run out.
    is_exhausted: AtomicBool,
    /// `None` once the thread has stopped.
    pending: Mutex<Option<VecDeque<PendingCommand>>>,
    /// A byte written here wakes the thread.
    wake_sender: UnixStream,
}

/// A command and the channel for its result.
struct PendingCommand {
    command: AcceptorCommand,
    /// Receives the result of the command: the number of accepted connections, for `Remove`.
    done: SyncSender<u64>,
}

impl Acceptor {
    /// Starts a thread that passes the connections it accepts to `accepted`, in batches. Without a
    /// worker slot it counts on a slot of its own, see [`AcceptorHandle::slot`].
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no descriptor, or the number of kick descriptors is not
    /// the number of slots.
    pub fn start(
        options: AcceptorOptions,
        accepted: impl Fn(Vec<AcceptedConnection>) + Send + 'static,
    ) -> io::Result<AcceptorHandle> {
        let slot = match &options.worker_slot {
            Some(worker_slot) => worker_slot.slot.clone(),
            None => Board::create(1)?.slot(1)?,
        };
        let (wake_sender, wake_receiver) = UnixStream::pair()?;
        wake_sender.set_nonblocking(true)?;
        wake_receiver.set_nonblocking(true)?;
        let commands = Arc::new(CommandQueue {
            is_exhausted: AtomicBool::new(false),
            pending: Mutex::new(Some(VecDeque::new())),
            wake_sender,
        });
        let accept_loop = AcceptLoop::new(
            options,
            slot.clone(),
            wake_receiver,
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
    /// Accepts from a non-blocking, listening socket, for the server `server_id`. The acceptor owns
    /// the socket. No copy may stay in this process: the address must become free at once when the
    /// arbiter dies. `is_tls` is passed on with each of its connections.
    pub fn add(&self, listener: OwnedFd, server_id: u32, is_tls: bool) {
        self.send(AcceptorCommand::Add(listener, server_id, is_tls));
    }

    /// Closes the listeners of a server and returns how many connections were accepted from them.
    pub fn remove(&self, server_id: u32) -> u64 {
        self.send(AcceptorCommand::Remove(server_id))
    }

    /// Accepts no connections until `resume`; they stay in the queue for other workers.
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

    /// Closes all listeners and stops the thread.
    pub fn stop(&mut self) {
        self.send(AcceptorCommand::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic of the thread would have aborted the process.
            let _ = thread.join();
        }
    }

    /// The handle for the code that frees descriptors.
    pub(crate) fn shortage(&self) -> ShortageHandle {
        ShortageHandle(self.commands.clone())
    }

    /// The slot on which connections are counted. The code that closes a connection counts it
    /// there.
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
        // An error means that the thread has stopped, and with it all listeners are closed.
        wait.recv().unwrap_or(0)
    }
}

impl Drop for AcceptorHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ShortageHandle {
    /// Whether the acceptor waits for descriptors or memory.
    pub fn is_active(&self) -> bool {
        self.0.is_exhausted.load(Ordering::Relaxed)
    }

    /// Resumes the acceptor: a descriptor is free again.
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
        // A full socket buffer means that the thread has been woken already.
        let _ = (&self.wake_sender).write(&[1]);
    }

    fn take(&self) -> Option<PendingCommand> {
        self.lock().as_mut()?.pop_front()
    }

    fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<PendingCommand>>> {
        // No code panics while it holds the lock.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
