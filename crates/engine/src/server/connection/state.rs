//! The state of a connection that its own task and the ring's reader both change: the current
//! exchange, the bytes to send, deadlines and how the connection ends.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::client::ClientInfo;
use super::ending::{Ending, EndingCell};
use super::footprint::{Eviction, Footprint, waiting_progress};
use super::refusal_state::RefusalState;
use super::socket_options::PendingSocketOptions;
use crate::bridge::ring::SocketOption;
use crate::buffers::byte_counts::ByteCounts;
use crate::buffers::write_queue::WriteQueue;
use crate::exchange::request_label::RequestLabel;
use crate::exchange::{Exchange, ExchangeEnd};
use crate::http1::parsed_message::ParsedMessage;
use crate::http2::streams::Streams;
use crate::pressure::eviction::{Progress, Shortage};
use crate::pressure::limits::Limits;
use crate::runtime::executor::TaskWaker;
use crate::runtime::slot_map::slot_of;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;
use crate::transport::stream::Stream;

/// State of one connection that both its task and the reader of the ring change.
pub(crate) struct ConnectionState {
    /// The I/O thread that owns the connection.
    pub(crate) ctx: Rc<Context>,
    /// Id of the connection in `Tables::connections` and in events for JavaScript.
    pub(crate) id: u32,
    /// Id of the application's server whose listener accepted the connection.
    pub(crate) server_id: u32,
    /// Limits of the server that accepted the connection.
    pub(crate) limits: RefCell<Rc<Limits>>,
    /// Wakes the connection's task.
    pub(crate) task: TaskWaker,
    /// Head and decoded body bytes that the guard has released and JavaScript has not received.
    pub(crate) parsed_message: RefCell<ParsedMessage>,
    /// Bytes to send to the client.
    pub(crate) write_queue: RefCell<WriteQueue>,
    /// The HTTP/1 request in flight and its response; `None` between requests and for HTTP/2.
    pub(crate) exchange: RefCell<Option<Exchange>>,
    /// Whether the connection is already in `Tables::to_wake`.
    pub(crate) is_wake_queued: Cell<bool>,
    /// How the connection ends.
    pub(crate) ending: EndingCell,
    /// Socket options that the application set and the connection's task has not applied yet.
    pub(crate) pending_socket_options: PendingSocketOptions,
    /// When the task must look at the connection.
    pub(crate) timer: ConnectionTimer,
    /// Number of requests received so far; `limit_requests_per_connection` bounds it.
    pub(crate) requests: Cell<u32>,
    /// Bytes that have been read from the socket.
    pub(crate) received: Cell<u64>,
    /// Number of exchanges in flight: with HTTP/2 there may be several.
    pub(crate) exchange_count: Cell<u32>,
    /// The client, as JavaScript and the logs see it.
    pub(crate) client: ClientInfo,
    /// What the connection holds between two turns of its task.
    pub(crate) footprint: Footprint,
    /// Who responds to a refused request, and whether the response has been written.
    pub(crate) refusal_state: Cell<RefusalState>,
    /// The streams of an HTTP/2 connection; empty for HTTP/1.
    pub(crate) streams: OnceCell<Rc<Streams>>,
    /// Reference to this state itself, from which `Tables::to_wake` gets one.
    pub(crate) weak_self: Weak<ConnectionState>,
}

/// When the task of a connection must look at it, in milliseconds of the context's clock.
pub(crate) struct ConnectionTimer {
    /// Earliest deadline of the connection; `u64::MAX` for none.
    pub(crate) deadline: Cell<u64>,
    /// Whether `deadline` has passed and the task has not handled it yet.
    pub(crate) is_due: Cell<bool>,
    /// End of the current wait: for a request, for the rest of a head, or for the client's close.
    pub(crate) wait_ends_at: Cell<u64>,
}

impl Default for ConnectionTimer {
    fn default() -> Self {
        Self {
            deadline: Cell::new(u64::MAX),
            is_due: Cell::new(false),
            wait_ends_at: Cell::new(u64::MAX),
        }
    }
}

impl ConnectionState {
    /// Creates the state of a connection that has received nothing yet.
    pub fn new(ctx: Rc<Context>, id: u32, server_id: u32, peer: PeerAddr) -> Rc<Self> {
        Rc::new_cyclic(|weak_self| Self {
            limits: RefCell::new(ctx.servers.limits_of(server_id)),
            ctx,
            id,
            server_id,
            task: TaskWaker::default(),
            parsed_message: RefCell::default(),
            write_queue: RefCell::default(),
            exchange: RefCell::default(),
            is_wake_queued: Cell::new(false),
            ending: EndingCell::default(),
            pending_socket_options: PendingSocketOptions::default(),
            timer: ConnectionTimer::default(),
            requests: Cell::new(0),
            received: Cell::new(0),
            exchange_count: Cell::new(0),
            client: ClientInfo::new(peer),
            footprint: Footprint::default(),
            refusal_state: Cell::new(RefusalState::NotRefused),
            streams: OnceCell::new(),
            weak_self: weak_self.clone(),
        })
    }

    /// Counts bytes that have been read from the socket.
    pub(crate) fn count_received(&self, count: usize) {
        self.received.set(self.received.get() + count as u64);
    }

    /// Returns how many bytes the connection has received and been given to send.
    pub(crate) fn byte_counts(&self) -> ByteCounts {
        let queue = self.write_queue.borrow();
        let written = queue.total_sent() + queue.len() as u64;
        ByteCounts { received: self.received.get(), written }
    }

    /// Schedules a wake of the connection's task after the ring has been read. Repeated calls wake
    /// it once.
    pub(crate) fn queue_wake(&self) {
        if !self.is_wake_queued.replace(true)
            && let Some(me) = self.weak_self.upgrade()
        {
            self.ctx.tables.to_wake.borrow_mut().push(me);
        }
    }

    /// Wakes the connection's task now.
    pub fn wake(&self) {
        self.is_wake_queued.set(false);
        self.task.wake();
    }

    /// Wakes the task if the deadline has passed at `now`. Returns when the timer wheel must check
    /// again.
    pub fn check_deadline(&self, now: u64) -> u64 {
        if self.timer.deadline.get() <= now {
            self.timer.is_due.set(true);
            self.wake();
        }
        self.timer.deadline.get().max(now + 1)
    }

    /// Whether the connection was accepted for the server `server_id`.
    pub fn belongs_to(&self, server_id: u32) -> bool {
        self.server_id == server_id
    }

    /// Whether a request is in flight or a response is unsent.
    pub fn is_busy(&self) -> bool {
        self.exchange.borrow().is_some()
            || !self.write_queue.borrow().is_empty()
            || self.streams.get().is_some_and(|streams| !streams.is_empty())
    }

    /// Whether an exchange is in flight with nothing left to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(Exchange::is_finished)
    }

    /// Whether JavaScript has taken over the connection, which is then a tunnel.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(Exchange::is_tunnel)
    }

    /// Whether JavaScript has yet to decide on the upgrade request in flight.
    pub(crate) fn is_undecided(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(Exchange::is_upgrade_undecided)
    }

    /// Whether the connection closes once the write queue is empty.
    pub(crate) fn ends_now(&self) -> bool {
        self.ending.closes()
            && self.exchange.borrow().as_ref().is_some_and(|exchange| {
                exchange.response.is_complete && exchange.body.is_done && !exchange.is_tunnel()
            })
    }

    /// Whether the response is complete and closes the connection while the request body is still
    /// arriving. The rest of the body is not read then, as in Node.
    pub(crate) fn closes_before_body_end(&self) -> bool {
        self.ending.closes()
            && self.exchange.borrow().as_ref().is_some_and(|exchange| {
                exchange.response.is_complete
                    && !exchange.body.is_done
                    && !exchange.response.notifies_when_sent
            })
    }

    /// Returns the requests that have no complete response yet, each with its start time.
    pub fn in_flight(&self) -> Vec<(RequestLabel, Instant)> {
        if let Some(streams) = self.streams.get() {
            return streams.in_flight();
        }
        let Ok(exchange) = self.exchange.try_borrow() else { return Vec::new() };
        exchange.as_ref().and_then(Exchange::in_flight).into_iter().collect()
    }

    /// Closes the connection like this, in the next turn of its task.
    pub fn close(&self, ending: Ending) {
        self.ending.set(ending);
        self.queue_wake();
    }

    /// Begins the drain of the connection.
    pub fn drain(&self) {
        self.drain_tunnel();
        if self.streams.get().is_some() {
            // Sends GOAWAY to an HTTP/2 client at once.
            self.wake();
        }
        self.shorten_drain();
    }

    /// Shortens the wait of an idle connection to `idle_drain`, during which a request may arrive.
    pub fn shorten_drain(&self) {
        if self.exchange.borrow().is_none() {
            let soon = self
                .ctx
                .clock
                .deadline(self.ctx.lifecycle.idle_drain.get())
                .min(self.timer.wait_ends_at.get());
            self.timer.wait_ends_at.set(soon);
            self.set_deadline_at(self.timer.deadline.get().min(soon));
        }
    }

    /// Whether a complete HTTP/1 response may still be unsent. Always false for HTTP/2.
    pub(crate) fn has_complete_response(&self) -> bool {
        let exchange = self.exchange.borrow();
        self.streams.get().is_none()
            && exchange.as_ref().map_or(!self.write_queue.borrow().is_empty(), |exchange| {
                exchange.response.is_complete
            })
    }

    /// Stores a socket option, which the connection's task applies in its next turn.
    pub fn set_socket_option(&self, option: SocketOption) {
        self.pending_socket_options.set(option);
        self.queue_wake();
    }

    /// Sets the end of the current wait to `after` from now. The caller registers the deadline,
    /// which may be an earlier one.
    pub(crate) fn start_wait(&self, after: Duration) {
        self.timer.wait_ends_at.set(self.ctx.clock.deadline(after));
    }

    /// Returns how long the connection may wait for its next request; `closes` means that the
    /// client has been asked to send no more.
    pub(crate) fn idle_time(&self, closes: bool) -> Duration {
        let (limits, lifecycle) = (self.limits.borrow(), &self.ctx.lifecycle);
        if closes || lifecycle.is_draining.get() {
            lifecycle.idle_drain.get().min(limits.settings.keepalive)
        } else {
            limits.settings.keepalive + limits.keepalive_grace
        }
    }

    /// Sets the deadline to `after` from now.
    pub(crate) fn set_deadline(&self, after: Duration) {
        self.set_deadline_at(self.ctx.clock.deadline(after));
    }

    /// Sets the deadline, in milliseconds of the context's clock, and registers it with the timer
    /// wheel at once: the wheel's entry may be for a later time.
    pub(crate) fn set_deadline_at(&self, deadline: u64) {
        self.timer.deadline.set(deadline);
        // The key is the slot, not the id: the wheel has room for every key up to the highest.
        self.ctx.wheel.borrow_mut().insert(slot_of(self.id), deadline);
    }

    /// Brings the deadline forward to `at` if it is later than that.
    pub(crate) fn set_deadline_no_later_than(&self, at: u64) {
        if at < self.timer.deadline.get() {
            self.set_deadline_at(at);
        }
    }

    /// Returns the limits of the server that accepted the connection.
    pub(crate) fn limits(&self) -> Rc<Limits> {
        self.limits.borrow().clone()
    }

    /// Emits the `CONNECTION` event, unless it has been emitted before.
    pub(crate) fn emit_connection(&self, stream: &Stream) {
        let is_http2 = self.streams.get().is_some();
        self.client.announce(&self.ctx.outbox, (self.id, self.server_id), stream, is_http2);
    }

    /// Ends the exchange in flight, if there is one.
    pub(crate) fn end_current_exchange(&self, end: ExchangeEnd) {
        if let Some(mut exchange) = self.exchange.take() {
            self.end_exchange(&mut exchange, end);
        }
    }

    /// Returns how long the connection has waited, unless a request is in flight or bytes are
    /// unsent.
    pub fn waiting_progress(&self) -> Option<Progress> {
        if self.is_busy() || self.ending.is_aborted() || self.is_evicted() {
            return None;
        }
        let awaits_head = self.requests.get() == 0 || self.held_bytes() > 0;
        Some(waiting_progress(self.timer.wait_ends_at.get(), awaits_head, &self.limits()))
    }

    /// Returns the bytes that the connection held at the end of its last turn.
    pub fn held_bytes(&self) -> usize {
        self.footprint.held_bytes.get()
    }

    /// Returns when the connection last began to hold bytes, in milliseconds of the context's
    /// clock.
    pub fn held_since(&self) -> u64 {
        self.footprint.held_since.get()
    }

    /// Returns the time of the client's last progress, in milliseconds of the context's clock: with
    /// a request body before the response has begun, or with reading a response. `u64::MAX` if
    /// nothing is expected of the client. The value is that of the last check.
    pub fn stalled_since(&self) -> u64 {
        let streams = self.streams.get().map_or(u64::MAX, |streams| streams.lagging_since());
        self.footprint.output_stalled_since.get().min(self.body_late_since()).min(streams)
    }

    /// Returns since when the client has been late with a request body, unless the response has
    /// begun.
    pub(crate) fn body_late_since(&self) -> u64 {
        // If the exchange is borrowed, its own turn is running, and it is the one that needs a
        // slot.
        let Ok(exchange) = self.exchange.try_borrow() else { return u64::MAX };
        exchange.as_ref().map_or(u64::MAX, |it| it.body_late_since(&self.limits.borrow()))
    }

    /// Whether the connection has been chosen for eviction.
    pub fn is_evicted(&self) -> bool {
        self.footprint.eviction.get() != Eviction::None
    }

    /// Ends an eviction after which the connection stays open.
    pub fn forget_eviction(&self) {
        self.footprint.eviction.set(Eviction::None);
    }

    /// Evicts the connection, in the next turn of its task.
    pub fn evict(&self, shortage: Shortage) {
        self.footprint.eviction.set(Eviction::Pending(shortage));
        self.wake();
    }

    /// Sets the bytes that the connection holds, also in the sum of the I/O thread.
    pub(crate) fn set_held_bytes(&self, now: usize) {
        let before = self.footprint.held_bytes.replace(now);
        if before == now {
            return;
        }
        if before == 0 {
            self.footprint.held_since.set(self.ctx.clock.now_ms());
        }
        let handoff = &self.ctx.handoff;
        let memory = &self.ctx.pressure.memory;
        if let Some(window) = memory.record_change(handoff.waiting_bytes(), before, now) {
            handoff.ring.set_response_buffer(window as u32);
        }
    }

    /// Sets whether the connection has a complete response that the client has not read. Such a
    /// response counts as a request in flight.
    pub(crate) fn set_unsent_response(&self, is_unsent: bool) {
        if self.footprint.has_unsent_response.replace(is_unsent) == is_unsent {
            return;
        }
        let (ctx, slot) = (&self.ctx, &self.ctx.handoff.slot);
        if is_unsent {
            ctx.tables.unsent_responses.set(ctx.tables.unsent_responses.get() + 1);
            slot.response_unsent();
        } else {
            ctx.tables.unsent_responses.set(ctx.tables.unsent_responses.get() - 1);
            slot.response_sent();
        }
    }
}
