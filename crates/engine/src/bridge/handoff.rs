//! What the I/O thread and the other threads share: events for JavaScript, its responses, and
//! requests to the I/O thread. Each lock is held only to move values.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::bridge::event_batch::{BatchPosition, EventBatch};
use crate::bridge::in_flight::InFlightRequest;
use crate::bridge::request_queue::{LateRequests, RequestQueue};
use crate::bridge::ring::Ring;
use crate::bridge::wire::loop_state;
use crate::buffers::borrowed::ReturnedBuffers;
use crate::buffers::byte_counts::ByteCounts;
use crate::buffers::pool::BufferPool;
use crate::buffers::sizes::{MAX_BODY_CHUNK, RESPONSE_PIECE, WIDE_BODY_CHUNK};
use crate::pressure::limits::Limits;
use crate::pressure::queue_delay::QueueDelay;
use crate::pressure::settings::Settings;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::handover::{Signals, Sleeper};
use crate::runtime::registrar::SocketRegistrar;
use crate::scoreboard::{Histogram, SlotRef, monotonic_us};
use crate::transport::listener::{AcceptedConnection, ShortageHandle};
use crate::transport::tls::TlsServer;

/// The state that the threads share.
pub(crate) struct Handoff {
    queue: Mutex<RequestQueue>,
    /// The number of bytes of the events that JavaScript has not taken.
    waiting_bytes: AtomicUsize,
    /// JavaScript has been woken and has not found the handoff empty since.
    awake: AtomicBool,
    /// How often JavaScript has taken a batch of events.
    takes: AtomicU64,
    /// `takes` when it last found nothing.
    slept_at: AtomicU64,
    pub ring: Ring,
    /// Pieces of responses that are too long for the ring.
    large: Mutex<VecDeque<Bytes>>,
    /// The borrowed buffers that have been sent.
    pub returned: Arc<ReturnedBuffers>,
    /// The memory for body chunks that are passed to JavaScript.
    pub body_buffers: Arc<BufferPool>,
    /// The memory for body chunks of clients that are fast.
    pub wide_body_buffers: Arc<BufferPool>,
    /// The memory that pieces of responses are copied into.
    pub response_buffers: Arc<BufferPool>,
    control: Mutex<Vec<ControlMessage>>,
    accepted: Mutex<Vec<AcceptedConnection>>,
    registrar: SocketRegistrar,
    /// The I/O thread looks into `accepted` by itself.
    polls_accepted: AtomicBool,
    shortage: OnceLock<ShortageHandle>,
    doorbell: Doorbell,
    wake_javascript: Box<dyn Fn() + Send + Sync>,
    pub slot: SlotRef,
}

/// What the JavaScript thread (or the acceptor) asks of the loop.
pub(crate) enum ControlMessage {
    /// Give a server limits of its own.
    Configure { server_id: u32, limits: Box<Limits> },
    /// Forget a server that no longer listens.
    Forget { server_id: u32 },
    /// Set how a server does TLS.
    Secure { server_id: u32, server: Box<TlsServer> },
    /// Set whether refusals to clients of a server are reported to JavaScript.
    ReportRefusals { server_id: u32, on: bool },
    /// Drain: end every connection soon, idle ones after this time. A second request only shortens
    /// it.
    Drain(Duration),
    /// Close the connections of one server: the idle ones or all.
    CloseConnections { server_id: u32, idle_only: bool },
    /// Close a connection that could not enter the set because memory was short.
    Abort(AcceptedConnection),
    /// Evict connections without a request, because another connection needs a descriptor.
    FreeDescriptor,
    /// The arbiter is gone: finish the requests in flight within a short while, then end the
    /// process.
    Orphaned,
    /// Send back the requests in flight.
    ListInFlight(SyncSender<Vec<InFlightRequest>>),
    /// Send back the settings of the server with this id.
    ReportSettings(u32, SyncSender<Settings>),
    /// Send back the byte counts of the connection with this id.
    ReportBytes(u32, SyncSender<Option<ByteCounts>>),
    /// Open the access log's file again.
    ReopenLog,
    /// End the thread.
    Stop,
    /// Write an error to the log.
    Fault(String),
}

impl Handoff {
    pub fn new(
        ring: Ring,
        slot: SlotRef,
        registrar: SocketRegistrar,
        wake_javascript: Box<dyn Fn() + Send + Sync>,
        queue_delay: QueueDelay,
    ) -> Self {
        Self {
            queue: Mutex::new(RequestQueue::new(queue_delay)),
            waiting_bytes: AtomicUsize::new(0),
            awake: AtomicBool::new(false),
            takes: AtomicU64::new(0),
            slept_at: AtomicU64::new(0),
            ring,
            large: Mutex::default(),
            returned: Arc::default(),
            body_buffers: Arc::new(BufferPool::new(MAX_BODY_CHUNK)),
            wide_body_buffers: Arc::new(BufferPool::new(WIDE_BODY_CHUNK)),
            response_buffers: Arc::new(BufferPool::new(RESPONSE_PIECE)),
            control: Mutex::default(),
            accepted: Mutex::default(),
            registrar,
            polls_accepted: AtomicBool::new(false),
            shortage: OnceLock::new(),
            doorbell: Doorbell::default(),
            wake_javascript,
            slot,
        }
    }

    /// Asks something of the loop.
    pub fn send(&self, control: ControlMessage) {
        self.push_control(control);
        self.wake();
    }

    /// Puts a message into the mailbox of the loop, which the caller wakes.
    pub fn push_control(&self, control: ControlMessage) {
        lock(&self.control).push(control);
        self.doorbell.note();
    }

    /// The acceptor, as far as it waits for descriptors.
    pub fn set_shortage(&self, shortage: ShortageHandle) {
        // The thread that creates the bridge sets this once.
        let _ = self.shortage.set(shortage);
    }

    /// Whether the acceptor waits for a descriptor.
    pub fn lacks_descriptors(&self) -> bool {
        self.shortage.get().is_some_and(ShortageHandle::is_active)
    }

    /// The acceptor may try again.
    pub fn descriptor_freed(&self) {
        if let Some(shortage) = self.shortage.get() {
            shortage.clear();
        }
    }

    /// Gives accepted connections to the I/O thread. It looks here when one of them has something
    /// to read, and with each tick. It is woken for many connections, and where it does not tick.
    pub fn accept(&self, batch: Vec<AcceptedConnection>) {
        // The request of a transferred connection has arrived, so its socket may stay silent.
        let is_urgent = batch.iter().any(|each| each.transfer.is_some());
        // A thread that is notified of a socket finds it here.
        let mut accepted = lock(&self.accepted);
        for each in batch {
            if self.registrar.register(&each.fd).is_ok() {
                accepted.push(each);
            } else {
                self.send(ControlMessage::Abort(each));
            }
        }
        let is_crowd = accepted.len() >= CROWD;
        drop(accepted);
        if is_crowd || is_urgent || !self.polls_accepted.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Sets whether the I/O thread looks for accepted connections by itself. Before it stops, it
    /// looks once more.
    pub fn set_polls_accepted(&self, on: bool) {
        self.polls_accepted.store(on, Ordering::SeqCst);
    }

    /// Makes the I/O thread begin with connections that it was not woken for, if there are any.
    pub fn wake_for_accepted(&self) {
        if !lock(&self.accepted).is_empty() {
            self.wake();
        }
    }

    /// Puts a piece of a response beside the ring.
    pub fn push_large(&self, bytes: &[u8]) {
        self.push_borrowed(self.response_buffers.copy(bytes));
    }

    /// Puts a piece of a response beside the ring without a copy.
    pub fn push_borrowed(&self, chunk: Bytes) {
        lock(&self.large).push_back(chunk);
    }

    /// Makes the loop look at the handoff and at the ring.
    pub fn wake(&self) {
        if self.doorbell.ring() {
            self.registrar.wake();
        }
    }

    /// Returns whether [`Self::wake`] was called since the last check. The loop calls this.
    pub fn was_woken(&self) -> bool {
        self.doorbell.answer()
    }

    pub fn take_control(&self) -> Vec<ControlMessage> {
        mem::take(&mut *lock(&self.control))
    }

    pub fn take_accepted(&self) -> Vec<AcceptedConnection> {
        mem::take(&mut *lock(&self.accepted))
    }

    pub fn pop_large(&self) -> Option<Bytes> {
        lock(&self.large).pop_front()
    }

    /// Takes what waits for JavaScript into `batch`, which must be empty. When nothing waits,
    /// JavaScript counts as asleep from then on and will be woken; until then it is expected to
    /// take again.
    pub fn take_batch(&self, batch: &mut EventBatch) {
        let takes = self.takes.fetch_add(1, Ordering::SeqCst) + 1;
        self.swap(batch);
        if !batch.is_empty() {
            return self.ring.begin_batch();
        }
        self.awake.store(false, Ordering::SeqCst);
        // The I/O thread adds first and then looks at the flag. One of the two threads sees the
        // other.
        self.swap(batch);
        if batch.is_empty() {
            return self.slept_at.store(takes, Ordering::SeqCst);
        }
        self.awake.store(true, Ordering::SeqCst);
        self.ring.begin_batch();
    }

    fn swap(&self, batch: &mut EventBatch) {
        let mut queue = lock(&self.queue);
        queue.take(batch);
        if batch.is_empty() {
            queue.note_sleep();
        }
        self.waiting_bytes.store(0, Ordering::Relaxed);
        // Before another turn's events can begin to wait.
        self.slot.set_waiting_since(0);
    }

    /// Finds the end of the next part of a batch that JavaScript has taken, and marks the requests
    /// in it that were withdrawn. Records how long the others have waited.
    pub fn take_part(&self, batch: &mut EventBatch, from: usize) -> BatchPosition {
        lock(&self.queue).take_part(batch, from, monotonic_us, |wait_us, count| {
            self.slot.record_times(Histogram::QueueDuration, wait_us, count);
        })
    }

    /// Frees memory that pieces have not needed for a while, or all of it without connections.
    pub fn shrink(&self, idle: bool) {
        self.body_buffers.shrink(idle);
        self.wide_body_buffers.shrink(idle);
        self.response_buffers.shrink(idle);
    }

    /// Bytes that wait for JavaScript.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Hands the events of this turn over and wakes JavaScript, unless it has been woken already.
    /// Returns the time until the next [`Self::take_late`], if one is needed.
    pub fn deliver_batch(&self, batch: &mut EventBatch) -> Option<Duration> {
        let now_us = monotonic_us();
        let mut queue = lock(&self.queue);
        if queue.events().is_empty() {
            self.slot.set_waiting_since(now_us / 1_000);
        }
        let next_check_us = queue.append(batch, now_us);
        self.waiting_bytes.store(queue.events().byte_len(), Ordering::Relaxed);
        drop(queue);
        self.wake_javascript();
        next_check_us.map(Duration::from_micros)
    }

    /// Withdraws a request that JavaScript has not taken yet. Returns whether it did.
    pub fn withdraw(&self, id: u32) -> bool {
        lock(&self.queue).withdraw(id, |_| true)
    }

    /// Like [`Self::withdraw`], for a request that has waited for at least `time`.
    pub fn withdraw_after(&self, id: u32, time: Duration) -> bool {
        let latest_us = monotonic_us().saturating_sub(time.as_micros() as u64);
        lock(&self.queue).withdraw(id, |arrived_us| arrived_us <= latest_us)
    }

    /// Notes that a request was refused because too many are in flight.
    pub fn note_refused(&self) {
        lock(&self.queue).note_refused();
    }

    /// Withdraws the requests that have waited too long while the worker is overloaded.
    pub fn take_late(&self) -> LateRequests {
        lock(&self.queue).take_late(monotonic_us())
    }

    /// Returns how often JavaScript has taken a batch. It has then finished the batch before.
    pub fn takes(&self) -> u64 {
        self.takes.load(Ordering::SeqCst)
    }

    /// Returns whether JavaScript has finished all that had been handed over when it had taken
    /// `takes` times. The next time it took that, unless it was in the middle of taking; the time
    /// after, it had finished it. A sleeping JavaScript has finished too.
    pub fn has_passed(&self, takes: u64) -> bool {
        self.takes() >= takes + 2 || !self.is_batch_out()
    }

    /// Whether JavaScript works on a batch or is about to.
    pub fn is_batch_out(&self) -> bool {
        self.awake.load(Ordering::SeqCst)
            || self.slept_at.load(Ordering::SeqCst) != self.takes()
            || self.ring.is_in_batch()
    }
}

impl Signals for Handoff {
    fn prepare_sleep(&self, sleeper: Sleeper) -> bool {
        self.doorbell.announce_sleep();
        self.ring.set_loop_state(match sleeper {
            Sleeper::IoThread => loop_state::ASLEEP,
            Sleeper::JavaScript => loop_state::JAVASCRIPT,
        });
        if self.ring.has_unread_records() {
            self.doorbell.note();
        }
        // Nothing else may wake JavaScript for a long time.
        if self.returned.has_any() {
            self.wake_javascript();
        }
        !self.doorbell.has_rung()
    }

    fn end_sleep(&self) {
        self.doorbell.end_sleep();
        self.ring.set_loop_state(loop_state::RUNNING);
    }

    fn wake(&self) {
        self.wake();
    }

    fn has_work(&self) -> bool {
        self.doorbell.has_rung() || self.ring.has_unread_records()
    }

    fn wake_poller(&self) {
        self.registrar.wake();
    }

    fn wake_javascript(&self) {
        if !self.awake.swap(true, Ordering::SeqCst) {
            (self.wake_javascript)();
        }
    }
}

/// The I/O thread begins with this many accepted connections at once. The limits on connections
/// hold for none before that.
const CROWD: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The holders only move values: a panic in one keeps them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
