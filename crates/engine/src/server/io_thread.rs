//! The I/O loop of a JavaScript environment over control messages, tasks, sockets and timers, and
//! the two threads that run it.
//!
//! [`IoThread`] is the handle that the JavaScript thread has. The I/O thread starts with the first
//! listener and serves any number of servers. The environment's cleanup hook stops and joins it.

mod alarms;
pub(crate) mod commands;
mod event_loop;
mod shared_loop;
mod standby;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bridge::event_batch::{BatchPosition, EventBatch};
use crate::bridge::handoff::{ControlMessage, Handoff};
use crate::bridge::in_flight;
use crate::bridge::ring::Ring;
use crate::buffers::borrowed::ReturnedBuffers;
use crate::buffers::byte_counts::ByteCounts;
use crate::error::Error;
use crate::log::access::AccessLog;
use crate::log::request_logs::RequestLogs;
use crate::log::statsd::Statsd;
use crate::pressure::limits::Limits;
use crate::pressure::queue_delay::QueueDelay;
use crate::pressure::settings::Settings;
use crate::runtime::handover::Signals;
use crate::runtime::registrar::SocketRegistrar;
use crate::runtime::thread_policy::use_batch_scheduling;
use crate::scoreboard::Board;
use crate::server::affinity::Affinity;
use crate::server::context::Context;
use crate::transport::listener::{
    Acceptor, AcceptorHandle, AcceptorOptions, WorkerSlot, describe_failure,
};
use crate::transport::tls::TlsServer;
use bytes::Bytes;
use shared_loop::SharedLoop;
pub use shared_loop::{Presence, TurnResult};
pub use standby::LoopMode;

/// Options of an I/O thread.
pub struct IoThreadOptions {
    /// Limits for servers that have set no limits of their own.
    pub limits: Limits,
    /// Whether JavaScript receives each connection at its accept instead of with its first request.
    pub announces_at_accept: bool,
    /// The ring that JavaScript writes responses into.
    pub ring: Ring,
    /// The worker's slot on the scoreboard; `None` without an arbiter.
    pub worker_slot: Option<WorkerSlot>,
    /// Descriptor of the socket to the arbiter. The end of its input means that the arbiter has
    /// died.
    pub lifeline: Option<std::os::fd::RawFd>,
    /// The access log; `None` if no access log is configured.
    pub access: Option<AccessLog>,
    /// The client that sends request metrics to statsd; `None` if `statsd_host` is not set.
    pub statsd: Option<Statsd>,
    /// Which threads run the loop.
    pub loop_mode: LoopMode,
    /// Wakes JavaScript, which then calls [`IoThread::take_events`]. The thread that holds the loop
    /// calls it.
    pub wake_javascript: Box<dyn Fn() + Send + Sync>,
}

/// Handle of an I/O thread and its acceptor thread. Dropping it stops both.
pub struct IoThread {
    handoff: Arc<Handoff>,
    shared: Arc<SharedLoop>,
    acceptor: AcceptorHandle,
    thread: Option<JoinHandle<()>>,
    mode: LoopMode,
}

impl IoThread {
    /// Starts the I/O thread and the acceptor thread.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system provides no thread or no descriptor.
    pub fn start(options: IoThreadOptions) -> Result<Self, Error> {
        // Without an arbiter no other worker shares the connections, but the counters still need a
        // slot.
        let worker_slot = match options.worker_slot {
            Some(worker_slot) => worker_slot,
            None => WorkerSlot {
                slot: Board::create(1)?.slot(1)?,
                kick_fds: Vec::new(),
                transfers: None,
                is_oversubscribed: false,
            },
        };
        let affinity = Affinity::open(&options.limits.settings.affinity, &worker_slot)?;
        let (slot, is_oversubscribed) = (worker_slot.slot.clone(), worker_slot.is_oversubscribed);
        options.ring.set_response_buffer(options.limits.settings.response_buffer_size as u32);
        let (poll, registrar) = SocketRegistrar::create()?;
        let queue_delay = QueueDelay::new(options.limits.settings.queue_delay_target);
        let handoff = Arc::new(Handoff::new(
            options.ring,
            slot,
            registrar,
            options.wake_javascript,
            queue_delay,
        ));
        in_flight::register_thread(&handoff);
        let max_in_flight = options.limits.settings.worker_connections;
        let [taken, orphaned, faults, shortage] = std::array::from_fn(|_| handoff.clone());
        let acceptor = Acceptor::start(
            AcceptorOptions {
                worker_slot: Some(worker_slot),
                lifeline: options.lifeline,
                max_in_flight,
                on_orphaned: Box::new(move || orphaned.send(ControlMessage::Orphaned)),
                on_error: Box::new(move |error| {
                    faults.send(ControlMessage::Fault(describe_failure(&error)));
                }),
                on_shortage: Box::new(move || shortage.send(ControlMessage::FreeDescriptor)),
            },
            move |batch| taken.accept(batch),
        )?;
        handoff.set_shortage(acceptor.shortage());
        let (limits, announces_at_accept) = (options.limits, options.announces_at_accept);
        let logs = RequestLogs::new(options.access, options.statsd);
        let poll_fd = poll.as_raw_fd();
        let context = Rc::new(Context::new(
            limits,
            announces_at_accept,
            handoff.clone(),
            affinity,
            logs,
            poll,
        ));
        let mode = options.loop_mode;
        if mode == LoopMode::Movable && is_oversubscribed {
            // This is the JavaScript thread, which runs the loop as long as it is calm.
            use_batch_scheduling();
        }
        let shared = Arc::new(SharedLoop::new(context, handoff.clone(), poll_fd));
        let standby = shared.clone();
        let thread = thread::Builder::new().name("monoceros-io".into()).spawn(move || {
            if is_oversubscribed {
                use_batch_scheduling();
            }
            standby::run(&standby, mode, is_oversubscribed);
        })?;
        Ok(Self { handoff, shared, acceptor, thread: Some(thread), mode })
    }

    /// The descriptor that becomes readable when the loop has something to do. In the mode
    /// [`LoopMode::Movable`] the JavaScript thread watches it and calls
    /// [`IoThread::turn_or_stop_polling`].
    #[must_use]
    pub fn poll_fd(&self) -> RawFd {
        self.shared.poll_fd
    }

    /// What the JavaScript thread does, as it must note for the I/O thread.
    #[must_use]
    pub fn presence(&self) -> Arc<Presence> {
        self.shared.presence.clone()
    }

    /// Runs a turn on the JavaScript thread because a timer is due, unless the I/O thread holds the
    /// loop.
    pub fn turn_for_timer(&self) -> TurnResult {
        self.shared.turn_for_timer()
    }

    /// Runs a turn on the JavaScript thread because the poll set is readable. If the I/O thread
    /// holds the loop, `watch(false)` must end the watch of the poll set.
    pub fn turn_or_stop_polling(&self, watch: impl Fn(bool)) -> TurnResult {
        self.shared.turn_or_stop_polling(watch)
    }

    /// Runs a turn on the JavaScript thread if the I/O thread has given the loop back.
    /// `watch(true)` must then begin to watch the poll set.
    pub fn turn_and_poll(&self, watch: impl Fn(bool)) -> TurnResult {
        self.shared.turn_and_poll(watch)
    }

    /// Returns how often the I/O thread has taken the loop over from the JavaScript thread.
    #[must_use]
    pub fn takeovers(&self) -> u64 {
        self.shared.takeovers.load(Ordering::Relaxed)
    }

    /// Accepts plain connections from a listening descriptor for the server `server_id`.
    pub fn listen(&self, listener: OwnedFd, server_id: u32) {
        self.acceptor.add(listener, server_id, false);
    }

    /// Accepts TLS connections from a listening descriptor for the server `server_id`, whose
    /// configuration [`IoThread::set_tls`] sets.
    pub fn listen_secure(&self, listener: OwnedFd, server_id: u32) {
        self.acceptor.add(listener, server_id, true);
    }

    /// Sets the TLS configuration of a server. Open connections keep the earlier one.
    pub fn set_tls(&self, server_id: u32, server: TlsServer) {
        self.send(ControlMessage::Secure { server_id, server: Box::new(server) });
    }

    /// Stops accepting for a server, whose connections stay open. Returns the number of connections
    /// that it has accepted, because JavaScript may not have received all of them yet.
    #[must_use]
    pub fn unlisten(&self, server_id: u32) -> u64 {
        let accepted = self.acceptor.remove(server_id);
        self.send(ControlMessage::Forget { server_id });
        accepted
    }

    /// Sets the limits of a server and of its open connections.
    pub fn set_limits(&self, server_id: u32, limits: Limits) {
        self.send(ControlMessage::Configure { server_id, limits: Box::new(limits) });
    }

    /// Sets whether JavaScript receives an event for each request to a server that the engine
    /// refuses.
    pub fn report_refusals(&self, server_id: u32, on: bool) {
        self.send(ControlMessage::ReportRefusals { server_id, on });
    }

    /// Aborts the connections of a server: all, or with `idle_only` those without a request in
    /// flight.
    pub fn abort_connections(&self, server_id: u32, idle_only: bool) {
        self.send(ControlMessage::CloseConnections { server_id, idle_only });
    }

    /// Stops accepting until [`IoThread::resume`]. New connections stay in the kernel's accept
    /// queue for other workers.
    pub fn pause(&self) {
        self.acceptor.pause();
    }

    /// Accepts connections again after [`IoThread::pause`].
    pub fn resume(&self) {
        self.acceptor.resume();
    }

    /// Closes the listeners and drains all connections. Idle connections close after `idle`. An
    /// idle event in a batch reports that no connection is left. A second call shortens the wait of
    /// idle connections.
    pub fn drain(&self, idle: Duration) {
        self.acceptor.close_listeners();
        self.send(ControlMessage::Drain(idle));
    }

    /// Returns the settings that the I/O thread has for a server. Only tests use it.
    #[must_use]
    pub fn settings(&self, server_id: u32) -> Option<Settings> {
        let (reply, settings) = sync_channel(1);
        self.send(ControlMessage::ReportSettings(server_id, reply));
        settings.recv_timeout(MAX_REPLY_WAIT).ok()
    }

    /// Returns how many bytes a connection has received and been given to send, with what the ring
    /// has for it; `None` for one that closed long ago. The wait for the I/O thread has a limit.
    #[must_use]
    pub fn byte_counts(&self, connection_id: u32) -> Option<ByteCounts> {
        let (reply, counts) = sync_channel(1);
        self.send(ControlMessage::ReportBytes(connection_id, reply));
        counts.recv_timeout(MAX_REPLY_WAIT).ok().flatten()
    }

    /// Reopens the file of the access log, after a log rotation.
    pub fn reopen_access_log(&self) {
        self.send(ControlMessage::ReopenLog);
    }

    /// Whether the ring has records that no turn has read.
    #[must_use]
    pub fn has_unread_records(&self) -> bool {
        self.handoff.ring.has_unread_records()
    }

    /// Sends the responses in the ring: by a turn on this thread, or by a wake of the I/O thread.
    pub fn wake(&self) -> TurnResult {
        if self.mode == LoopMode::IoThread {
            self.handoff.wake();
            return TurnResult::HeldElsewhere;
        }
        self.shared.turn_or_wake()
    }

    fn send(&self, message: ControlMessage) {
        self.handoff.push_control(message);
        self.wake();
    }

    /// Passes a copy of a large response chunk beside the ring. The next record for a large chunk
    /// in the ring refers to it.
    pub fn push_large(&self, chunk: &[u8]) {
        self.handoff.push_large(chunk);
    }

    /// Passes a large response chunk like [`IoThread::push_large`], but without a copy. The engine
    /// drops `chunk` once it is sent.
    pub fn push_borrowed(&self, chunk: Bytes) {
        self.handoff.push_borrowed(chunk);
    }

    /// Returns the list of borrowed buffers that the engine has dropped. The engine wakes
    /// JavaScript for them if there is no other event.
    #[must_use]
    pub fn returned_buffers(&self) -> Arc<ReturnedBuffers> {
        self.handoff.returned.clone()
    }

    /// Blocks until the I/O thread has read more of the ring.
    ///
    /// # Errors
    ///
    /// Returns an error after [`MAX_RING_WAIT`]. The I/O thread never blocks, so such a wait is a
    /// fault.
    pub fn wait_for_space(&self) -> Result<(), Error> {
        let before = self.handoff.ring.read_position();
        let until = Instant::now() + MAX_RING_WAIT;
        while Instant::now() < until {
            self.wake();
            thread::sleep(Duration::from_micros(50));
            if self.handoff.ring.read_position() != before {
                return Ok(());
            }
        }
        Err(Error::ring_full())
    }

    /// Takes the pending events into `batch`, which must be empty. If there are none, JavaScript
    /// counts as asleep, and the next event wakes it. Otherwise JavaScript must call this again.
    pub fn take_events(&self, batch: &mut EventBatch) {
        self.handoff.take_batch(batch);
    }

    /// Finds the end of the part of a taken batch that begins at `from`. JavaScript must read the
    /// parts in order: the requests of later parts can still be withdrawn.
    pub fn take_part(&self, batch: &mut EventBatch, from: usize) -> BatchPosition {
        self.handoff.take_part(batch, from)
    }

    /// Returns the numbers of open connections, requests in flight, finished requests and takeovers
    /// of the loop by the I/O thread.
    #[must_use]
    pub fn counters(&self) -> [u64; 4] {
        let view = self.handoff.slot.snapshot();
        [
            u64::from(view.connections),
            u64::from(view.in_flight),
            view.counters.requests,
            self.takeovers(),
        ]
    }

    /// Stops both threads. Before that, the I/O thread reads the ring and sends what the sockets
    /// accept at once.
    pub fn stop(&mut self) {
        self.acceptor.stop();
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.handoff.send(ControlMessage::Stop);
        self.handoff.wake_poller();
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic of the thread.
            let _ = thread.join();
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Maximum time to wait for a reply of the I/O thread.
const MAX_REPLY_WAIT: Duration = Duration::from_secs(1);
/// Maximum time that the JavaScript thread blocks for space in the ring.
pub const MAX_RING_WAIT: Duration = Duration::from_secs(2);
