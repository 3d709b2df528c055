//! The state of a connection that its own task and the ring's reader both change: the current
//! exchange, the bytes to send, deadlines and how the connection ends.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::TableEntry;
use super::ending::{Ending, EndingCell};
use super::error_response::RefusalState;
use super::memory_use::Footprint;
use super::socket_options::PendingSocketOptions;
use crate::bridge::event_batch::ConnectionInfo;
use crate::bridge::ring::SocketOption;
use crate::buffers::byte_counts::ByteCounts;
use crate::buffers::write_queue::WriteQueue;
use crate::exchange::request_label::RequestLabel;
use crate::exchange::{Exchange, ExchangeEnd};
use crate::http1::parsed_message::ParsedMessage;
use crate::http2::Streams;
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
    /// Id of the connection in [`Context::connections`] and in events for JavaScript.
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
    /// Whether the connection is already in [`Context::to_wake`].
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
    /// Bytes received after the head of an upgrade request, kept until the request is dispatched.
    pub(crate) upgrade_bytes: Cell<Option<Box<[u8]>>>,
    /// The client, as JavaScript and the logs see it.
    pub(crate) client: ClientInfo,
    /// What the connection holds between two turns of its task.
    pub(crate) footprint: Footprint,
    /// Who responds to a refused request, and whether the response has been written.
    pub(crate) refusal_state: Cell<RefusalState>,
    /// The streams of an HTTP/2 connection; empty for HTTP/1.
    pub(crate) streams: OnceCell<Rc<Streams>>,
    /// Reference to this state itself, from which [`Context::to_wake`] gets one.
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

/// The client of a connection, as JavaScript and the logs see it.
pub(crate) struct ClientInfo {
    /// Address of the client: the peer, or the source address of a PROXY protocol header.
    pub(crate) peer: Cell<PeerAddr>,
    /// Destination address of a PROXY protocol header.
    pub(crate) proxied_local: Cell<Option<SocketAddr>>,
    /// The client's address as text, created on first use; empty for a unix socket.
    remote: OnceCell<String>,
    /// Whether the connection's `CONNECTION` event has been emitted to JavaScript.
    pub(crate) is_announced: Cell<bool>,
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
            upgrade_bytes: Cell::new(None),
            client: ClientInfo {
                peer: Cell::new(peer),
                proxied_local: Cell::new(None),
                remote: OnceCell::new(),
                is_announced: Cell::new(false),
            },
            footprint: Footprint::default(),
            refusal_state: Cell::new(RefusalState::NotRefused),
            streams: OnceCell::new(),
            weak_self: weak_self.clone(),
        })
    }

    /// Emits the open and the close of a connection that closed before it was served. JavaScript
    /// counts the connections of each server, so it needs both events.
    pub(crate) fn emit_unserved(ctx: &Rc<Context>, server_id: u32, peer: PeerAddr) {
        let info = ConnectionInfo {
            family: 0,
            remote: "",
            remote_port: 0,
            local: "",
            local_port: 0,
            secure: None,
            http2: false,
        };
        let mut connections = ctx.tables.connections.borrow_mut();
        let id = connections
            .insert_with(|id| TableEntry::Serving(Self::new(ctx.clone(), id, server_id, peer)));
        connections.remove(id);
        ctx.outbox.emit(|batch| {
            batch.push_connection(id, server_id, &info);
            batch.push_connection_closed(id, ByteCounts::default());
        });
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

    /// Returns the client's address as text; empty on a unix socket.
    pub(crate) fn remote(&self) -> &str {
        self.client.remote.get_or_init(|| match self.client.peer.get() {
            PeerAddr::Ip(address) => address.ip().to_string(),
            PeerAddr::Unix => String::new(),
        })
    }

    /// Returns the limits of the server that accepted the connection.
    pub(crate) fn limits(&self) -> Rc<Limits> {
        self.limits.borrow().clone()
    }

    /// Stores the client and destination addresses of a PROXY protocol header. Must be called
    /// before [`Self::remote`].
    pub(crate) fn set_proxied_addresses(&self, proxied: Option<(SocketAddr, SocketAddr)>) {
        if let Some((client, local)) = proxied {
            self.client.peer.set(PeerAddr::Ip(client));
            self.client.proxied_local.set(Some(local));
        }
    }

    /// Emits the `CONNECTION` event, unless it has been emitted before.
    pub(crate) fn emit_connection(&self, stream: &Stream) {
        if self.client.is_announced.replace(true) {
            return;
        }
        let (family, remote_port) = match self.client.peer.get() {
            PeerAddr::Ip(address) => (if address.is_ipv4() { 4 } else { 6 }, address.port()),
            PeerAddr::Unix => (0, 0),
        };
        let local = self.client.proxied_local.get().or_else(|| stream.local_address());
        let local_text = local.map(|address| address.ip().to_string()).unwrap_or_default();
        let info = ConnectionInfo {
            family,
            remote: self.remote(),
            remote_port,
            local: &local_text,
            local_port: local.map_or(0, |address| address.port()),
            secure: stream.tls(),
            http2: self.streams.get().is_some(),
        };
        self.ctx.outbox.emit(|batch| batch.push_connection(self.id, self.server_id, &info));
    }

    /// Ends the exchange in flight, if there is one.
    pub(crate) fn end_current_exchange(&self, end: ExchangeEnd) {
        if let Some(mut exchange) = self.exchange.take() {
            self.end_exchange(&mut exchange, end);
        }
    }
}
