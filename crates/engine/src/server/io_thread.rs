//! The I/O thread of a JavaScript environment: one loop over what it is asked, its tasks, its sockets and its timers.
//!
//! [`IoThread`] is the JavaScript thread's handle on it. It starts with the first listener, carries any number of
//! servers that come and go, and is stopped and joined by the environment's cleanup.

mod commands;
mod tasks;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bridge::event_batch::EventBatch;
use crate::bridge::handoff::{ControlMessage, Handoff};
use crate::bridge::in_flight;
use crate::bridge::ring::Ring;
use crate::buffers::borrowed::ReturnedBuffers;
use crate::error::Error;
use crate::log::access::AccessLog;
use crate::log::statsd::Statsd;
use crate::pressure::limits::{IDLE_DRAIN_TIME, Limits};
use crate::pressure::memory::evict_over_limit;
use crate::pressure::settings::Settings;
use crate::runtime::executor::{self, AbortOnPanic, spawn_critical};
use crate::runtime::sockets::SocketSet;
use crate::runtime::thread_policy::use_batch_scheduling;
use crate::scoreboard::Board;
use crate::server::connection::{abort_connections, begin, discard_accepted, end_body_buffering};
use crate::server::context::Context;
use crate::server::shutdown::{drain, end_process};
use crate::transport::listener::{
    AcceptedConnection, Acceptor, AcceptorHandle, AcceptorOptions, WorkerSlot,
};
use crate::transport::tls::{TlsServer, abort_expired_handshakes};
use bytes::Bytes;
use commands::apply_command;
use tasks::{batching_delay, clock, flusher, ring_watcher};

/// What an I/O thread is started with.
pub struct Options {
    /// Every bound.
    pub limits: Limits,
    /// Tell JavaScript of connections when they are accepted, not with their first request.
    pub announce: bool,
    /// Where JavaScript writes its answers.
    pub ring: Ring,
    /// The worker's place among others.
    pub seat: Option<WorkerSlot>,
    /// The socket to the arbiter, watched for its end.
    pub lifeline: Option<std::os::fd::RawFd>,
    /// The access log.
    pub access: Option<AccessLog>,
    /// Whom requests are counted for.
    pub statsd: Option<Statsd>,
    /// Wakes JavaScript, which then calls [`IoThread::take`]. Called on the I/O thread.
    pub wake_javascript: Box<dyn Fn() + Send + Sync>,
}

/// The handle of an I/O thread.
pub struct IoThread {
    handoff: Arc<Handoff>,
    acceptor: AcceptorHandle,
    thread: Option<JoinHandle<()>>,
}

impl IoThread {
    /// Starts the I/O thread and the acceptor thread.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread or no descriptor.
    pub fn start(options: Options) -> Result<Self, Error> {
        // Without an arbiter there is nobody to share with; the counters are kept all the same.
        let seat = match options.seat {
            Some(seat) => seat,
            None => WorkerSlot {
                slot: Board::create(1)?.slot(1)?,
                kick_fds: Vec::new(),
                is_oversubscribed: false,
            },
        };
        let (slot, is_oversubscribed) = (seat.slot.clone(), seat.is_oversubscribed);
        options.ring.set_window(options.limits.settings.response_buffer_size as u32);
        let (poll, registrar) = SocketSet::create()?;
        let handoff =
            Arc::new(Handoff::new(options.ring, slot, registrar, options.wake_javascript));
        in_flight::register_thread(&handoff);
        let max_in_flight = options.limits.settings.worker_connections;
        let [taken, orphaned, faults, shortage] = std::array::from_fn(|_| handoff.clone());
        let acceptor = Acceptor::start(
            AcceptorOptions {
                worker_slot: Some(seat),
                lifeline: options.lifeline,
                max_in_flight,
                on_orphaned: Box::new(move || orphaned.send(ControlMessage::Orphaned)),
                on_error: Box::new(move |error| {
                    faults.send(ControlMessage::Fault(format!("accepting failed: {error}")));
                }),
                on_shortage: Box::new(move || shortage.send(ControlMessage::FreeDescriptor)),
            },
            move |batch| taken.accept(batch),
        )?;
        handoff.set_shortage(acceptor.shortage());
        let (limits, announce) = (options.limits, options.announce);
        let logs = (options.access, options.statsd);
        let shared = handoff.clone();
        let thread = thread::Builder::new().name("monoceros-io".into()).spawn(move || {
            if is_oversubscribed {
                use_batch_scheduling();
            }
            let sockets = SocketSet::new(poll);
            run(&Rc::new(Context::new(limits, announce, shared, logs, sockets)));
        })?;
        Ok(Self { handoff, acceptor, thread: Some(thread) })
    }

    /// Accepts connections from a listening descriptor for the server `server_id`.
    pub fn listen(&self, listener: OwnedFd, server_id: u32) {
        self.acceptor.add(listener, server_id, false);
    }

    /// The same for connections that speak TLS, as `secure` has said how.
    pub fn listen_secure(&self, listener: OwnedFd, server_id: u32) {
        self.acceptor.add(listener, server_id, true);
    }

    /// Does TLS so for the server `server_id`: connections that begin from now on.
    pub fn secure(&self, server_id: u32, server: TlsServer) {
        self.handoff.send(ControlMessage::Secure { server_id, server: Box::new(server) });
    }

    /// Stops accepting for the server `server_id`; its connections live on. Returns how many it has accepted: JavaScript
    /// may still have to hear of some.
    #[must_use]
    pub fn unlisten(&self, server_id: u32) -> u64 {
        let accepted = self.acceptor.remove(server_id);
        self.handoff.send(ControlMessage::Forget { server_id });
        accepted
    }

    /// Gives the server `server_id` limits of its own, from now on and for the connections that it has.
    pub fn configure(&self, server_id: u32, limits: Limits) {
        self.handoff.send(ControlMessage::Configure { server_id, limits: Box::new(limits) });
    }

    /// Says whether JavaScript hears of what is refused to clients of the server `server_id`.
    pub fn tell_refusals(&self, server_id: u32, on: bool) {
        self.handoff.send(ControlMessage::ReportRefusals { server_id, on });
    }

    /// Closes the connections of a server, all of them or those without a request in hand.
    pub fn disconnect(&self, server_id: u32, idle_only: bool) {
        self.handoff.send(ControlMessage::CloseConnections { server_id, idle_only });
    }

    /// Takes no more connections until `resume`; they stay in the queue for other workers.
    pub fn pause(&self) {
        self.acceptor.pause();
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.acceptor.resume();
    }

    /// Closes the listeners and lets every connection end soon, idle ones after `idle`: the batch that says `idle` tells
    /// when none is left. Called again it shortens the wait of those that are idle.
    pub fn drain(&self, idle: Duration) {
        self.acceptor.close_listeners();
        self.handoff.send(ControlMessage::Drain(idle));
    }

    /// Returns the settings that the I/O thread holds for a server, for tests.
    #[must_use]
    pub fn settings(&self, server_id: u32) -> Option<Settings> {
        self.handoff.request_settings(server_id)
    }

    /// Opens the access log's file again.
    pub fn reopen(&self) {
        self.handoff.send(ControlMessage::ReopenLog);
    }

    /// Makes the I/O thread look at the ring.
    pub fn wake(&self) {
        self.handoff.wake();
    }

    /// Puts a piece of an answer beside the ring; a record in the ring refers to it.
    pub fn large(&self, piece: &[u8]) {
        self.handoff.push_large(piece);
    }

    /// The same without a copy: `piece` is dropped when it is sent.
    pub fn lend(&self, piece: Bytes) {
        self.handoff.push_borrowed(piece);
    }

    /// Where lent pieces say that they have been dropped. When that is all that there is to tell, JavaScript is woken too.
    #[must_use]
    pub fn returned(&self) -> Arc<ReturnedBuffers> {
        self.handoff.returned.clone()
    }

    /// Waits until the I/O thread has read on in the ring.
    ///
    /// # Errors
    ///
    /// When it has not within [`MAX_RING_WAIT`]: it never waits for anybody, so that is a fault.
    pub fn wait_for_space(&self) -> Result<(), Error> {
        let before = self.handoff.ring.position();
        let until = Instant::now() + MAX_RING_WAIT;
        while Instant::now() < until {
            self.wake();
            thread::sleep(Duration::from_micros(50));
            if self.handoff.ring.position() != before {
                return Ok(());
            }
        }
        Err(Error::ring_full())
    }

    /// Takes what waits for JavaScript into `batch`, which must be empty. When nothing waits, JavaScript counts as
    /// asleep from then on and will be woken; until then it is expected to take again.
    pub fn take(&self, batch: &mut EventBatch) {
        self.handoff.take_batch(batch);
    }

    /// Connections open, requests in hand, requests finished.
    #[must_use]
    pub fn counters(&self) -> [u64; 3] {
        let view = self.handoff.slot.snapshot();
        [u64::from(view.connections), u64::from(view.in_flight), view.counters.requests]
    }

    /// Ends both threads. What the ring holds is read and sent as far as the sockets take it at once.
    pub fn stop(&mut self) {
        self.acceptor.stop();
        self.handoff.send(ControlMessage::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its hook; nothing is left to do here.
            let _ = thread.join();
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's loop: what it is asked, then a turn of its tasks, then the sockets and the timers. It waits only when no
/// task has anything to do.
fn run(ctx: &Rc<Context>) {
    let _abort = AbortOnPanic;
    spawn_critical(flusher(ctx.clone()));
    spawn_critical(ring_watcher(ctx.clone()));
    spawn_critical(batching_delay(ctx.clone()));
    spawn_critical(clock(ctx.clone()));
    spawn_critical(end_body_buffering(ctx.clone()));
    spawn_critical(evict_over_limit(ctx.clone()));
    spawn_critical(abort_expired_handshakes(ctx.clone()));
    while !ctx.is_stopping.get() {
        executor::run_turn();
        // The turn has taken a while, and a wait does.
        ctx.is_clock_stale.set(true);
        if executor::has_ready_tasks() {
            poll_sockets(ctx);
        } else {
            wait(ctx);
        }
        ctx.timers.wake_due(ctx.now());
    }
    stop(ctx);
}

/// Waits until there is something to do: for a socket, for a timer, or for somebody who asks.
fn wait(ctx: &Rc<Context>) {
    let handoff = &ctx.handoff;
    // Before anybody is told that the thread sleeps: what is asked meanwhile is found without a wake.
    if ctx.handshakes.are_dense(|| ctx.ms(Instant::now())) {
        thread::sleep(HANDSHAKE_BATCHING_TIME);
    }
    let time = if handoff.prepare_sleep() {
        ctx.timers.time_until_next(Instant::now())
    } else {
        Some(Duration::ZERO)
    };
    SocketSet::dispatch_events(ctx, time);
    handoff.end_sleep();
    handle_wake(ctx);
}

/// Looks at the sockets, and at what the thread is asked.
fn poll_sockets(ctx: &Rc<Context>) {
    SocketSet::dispatch_events(ctx, Some(Duration::ZERO));
    handle_wake(ctx);
}

fn handle_wake(ctx: &Rc<Context>) {
    if ctx.handoff.was_woken() {
        handle_control_messages(ctx);
    }
}

/// Does what other threads have asked for.
fn handle_control_messages(ctx: &Rc<Context>) {
    // What was asked before one of them was accepted, say how its server does TLS, is read after this and done first.
    let mut accepted = ctx.handoff.take_accepted();
    for control in ctx.handoff.take_control() {
        match control {
            ControlMessage::Configure { server_id, limits } => {
                ctx.set_limits(server_id, Some(*limits))
            }
            ControlMessage::Forget { server_id } => {
                begin_accepted(ctx, &mut accepted);
                ctx.delivers_at_once.set(true);
                ctx.end_batching_delay();
                ctx.set_limits(server_id, None);
                ctx.set_tls(server_id, None);
            }
            ControlMessage::Secure { server_id, server } => ctx.set_tls(server_id, Some(*server)),
            ControlMessage::Drain(idle) => {
                begin_accepted(ctx, &mut accepted);
                drain(ctx, idle);
            }
            ControlMessage::Abort(accepted) => discard_accepted(ctx, &accepted),
            ControlMessage::FreeDescriptor => ctx.admission.handle_descriptor_shortage(ctx),
            ControlMessage::CloseConnections { server_id, idle_only } => {
                begin_accepted(ctx, &mut accepted);
                abort_connections(ctx, |one| {
                    one.belongs_to(server_id) && !(idle_only && one.is_busy())
                });
            }
            ControlMessage::ReportRefusals { server_id, on } => {
                ctx.set_reports_refusals(server_id, on)
            }
            ControlMessage::Orphaned => {
                begin_accepted(ctx, &mut accepted);
                drain(ctx, IDLE_DRAIN_TIME);
                spawn_critical(end_process(ctx.clone()));
            }
            ControlMessage::ListInFlight(reply) => in_flight::reply_to(ctx, &reply),
            ControlMessage::ReportSettings(id, reply) => ctx.report_settings(id, &reply),
            ControlMessage::ReopenLog => {
                let reopened = ctx.access.borrow_mut().as_mut().map(AccessLog::reopen);
                if let Some(Err(error)) = reopened {
                    let text = format!("the access log stays the old file: {error}");
                    ctx.emit(|batch| batch.fault(&text));
                }
            }
            ControlMessage::Fault(text) => ctx.emit(|batch| batch.fault(&text)),
            ControlMessage::Stop => ctx.is_stopping.set(true),
        }
    }
    begin_each(ctx, &mut accepted);
    read_ring(ctx);
    wake_awaiting_javascript(ctx);
}

/// Ends everything where it stands.
fn stop(ctx: &Rc<Context>) {
    // What the ring has brought goes out as far as the sockets take it.
    executor::run_ready();
    // They have no task that would end with the thread.
    abort_connections(ctx, |one| one.serving().is_none());
    executor::cancel_all();
    ctx.finish_logs();
}

/// Begins with all connections that have been accepted, of which something is asked now.
fn begin_accepted(ctx: &Rc<Context>, accepted: &mut Vec<AcceptedConnection>) {
    accepted.append(&mut ctx.handoff.take_accepted());
    begin_each(ctx, accepted);
}

fn begin_each(ctx: &Rc<Context>, accepted: &mut Vec<AcceptedConnection>) {
    for each in accepted.drain(..) {
        begin(ctx, each);
    }
}

/// Reads what JavaScript wrote and wakes the connections it was for. Says whether there was anything.
pub(crate) fn read_ring(ctx: &Rc<Context>) -> bool {
    let is_pending = ctx.handoff.ring.is_pending();
    if is_pending {
        ctx.refresh_clock();
        ctx.handoff.ring.drain(|id, command| apply_command(ctx, id, command));
    }
    let mut dirty = ctx.to_wake.borrow_mut();
    for shared in dirty.drain(..) {
        shared.wake();
    }
    is_pending
}

/// Lets connections that wait for JavaScript look again.
fn wake_awaiting_javascript(ctx: &Context) {
    for shared in ctx.awaiting_javascript.borrow_mut().drain(..) {
        shared.wake();
    }
}

/// Where handshakes are dense, what comes within this time is done together: each of their messages comes alone, and would
/// wake the thread, and then JavaScript, by itself. Linux adds the thread's timer slack, 50 us more.
const HANDSHAKE_BATCHING_TIME: Duration = Duration::from_micros(200);

/// How long JavaScript waits for space in the ring at most.
pub const MAX_RING_WAIT: Duration = Duration::from_secs(2);
