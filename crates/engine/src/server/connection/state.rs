//! What a connection's task and the ring's task both touch: the exchange in hand, the bytes to send.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error_response::Refused;
use super::socket_options::PendingSocketOptions;
use super::{Exchange, TableEntry, request_body};
use crate::bridge::event_batch::{ConnectionInfo, RequestBody};
use crate::bridge::in_flight::RequestLabel;
use crate::bridge::ring::SocketOption;
use crate::buffers::write_queue::WriteQueue;
use crate::http1::parsed_message::ParsedMessage;
use crate::http2::Streams;
use crate::pressure::limits::Limits;
use crate::runtime::executor::TaskWaker;
use crate::runtime::slot_map::slot_of;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;
use crate::transport::stream::Stream;

/// What a connection's task and the ring's task both touch.
pub(crate) struct ConnectionState {
    pub(crate) ctx: Rc<Context>,
    pub(crate) id: u32,
    /// Which server of the program the connection belongs to.
    pub(crate) server_id: u32,
    /// The server's.
    pub(crate) limits: RefCell<Rc<Limits>>,
    pub(crate) task: TaskWaker,
    pub(crate) parsed_message: RefCell<ParsedMessage>,
    pub(crate) out: RefCell<WriteQueue>,
    pub(crate) exchange: RefCell<Option<Exchange>>,
    /// JavaScript knows of this connection.
    pub(crate) is_announced: Cell<bool>,
    /// Already among the connections to wake after the ring has been read.
    pub(crate) is_wake_queued: Cell<bool>,
    /// The connection ends after the answer in hand.
    pub(crate) closes_after_response: Cell<bool>,
    /// The connection is cut, whatever is unsent.
    pub(crate) is_aborted: Cell<bool>,
    /// The application has ended it: nothing follows what has been written.
    pub(crate) closes_after_write: Cell<bool>,
    /// Cut by a reset.
    pub(crate) aborts_with_reset: Cell<bool>,
    /// What the application wants of the socket, until the connection's task runs.
    pub(crate) wishes: PendingSocketOptions,
    /// On the clock of the context; `u64::MAX` for none.
    pub(crate) deadline: Cell<u64>,
    /// The wheel has found it passed.
    pub(crate) is_deadline_due: Cell<bool>,
    /// The end of the wait for a head, for its rest, or for the client's end.
    pub(crate) wait_ends_at: Cell<u64>,
    /// Requests so far.
    pub(crate) requests: Cell<u32>,
    /// What has come behind the head of a request that asks for an upgrade, until the request crosses.
    pub(crate) upgrade_bytes: Cell<Option<Box<[u8]>>>,
    /// The client, which a proxy may have told.
    pub(crate) peer: Cell<PeerAddr>,
    /// What the client had connected to, as a proxy told it.
    pub(crate) proxied_local: Cell<Option<SocketAddr>>,
    /// The client's address as text, once it has been asked for.
    pub(crate) remote: OnceCell<String>,
    /// Bytes held between two turns, and since when there have been any.
    pub(crate) held_bytes: Cell<usize>,
    pub(crate) held_since: Cell<u64>,
    /// Since when its client has been behind with taking what waits for it; `u64::MAX` when nothing does.
    pub(crate) output_stalled_since: Cell<u64>,
    /// The same of the body that it owes.
    pub(crate) body_late_since: Cell<u64>,
    /// It is to end for the sake of others.
    pub(crate) is_evicted: Cell<bool>,
    /// The place of its request is wanted for another.
    pub(crate) is_evicted_for_request: Cell<bool>,
    /// That has not been seen to yet.
    pub(crate) has_pending_eviction: Cell<bool>,
    /// Whose answer a refusal waits for.
    pub(crate) refusal_response: Cell<Refused>,
    /// An answer is complete and not sent.
    pub(crate) has_unsent_response: Cell<bool>,
    /// The requests in hand of a connection that speaks HTTP/2.
    pub(crate) streams: OnceCell<Rc<Streams>>,
    /// Itself, for the list of connections to wake.
    pub(crate) me: Weak<ConnectionState>,
}

impl ConnectionState {
    pub fn new(ctx: Rc<Context>, id: u32, server_id: u32, peer: PeerAddr) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            limits: RefCell::new(ctx.limits_of(server_id)),
            ctx,
            id,
            server_id,
            task: TaskWaker::default(),
            parsed_message: RefCell::default(),
            out: RefCell::default(),
            exchange: RefCell::default(),
            is_announced: Cell::new(false),
            is_wake_queued: Cell::new(false),
            closes_after_response: Cell::new(false),
            is_aborted: Cell::new(false),
            closes_after_write: Cell::new(false),
            aborts_with_reset: Cell::new(false),
            wishes: PendingSocketOptions::default(),
            deadline: Cell::new(u64::MAX),
            is_deadline_due: Cell::new(false),
            wait_ends_at: Cell::new(u64::MAX),
            requests: Cell::new(0),
            upgrade_bytes: Cell::new(None),
            peer: Cell::new(peer),
            proxied_local: Cell::new(None),
            remote: OnceCell::new(),
            held_bytes: Cell::new(0),
            held_since: Cell::new(0),
            output_stalled_since: Cell::new(u64::MAX),
            body_late_since: Cell::new(u64::MAX),
            is_evicted: Cell::new(false),
            is_evicted_for_request: Cell::new(false),
            has_pending_eviction: Cell::new(false),
            refusal_response: Cell::new(Refused::Nothing),
            has_unsent_response: Cell::new(false),
            streams: OnceCell::new(),
            me: me.clone(),
        })
    }

    /// JavaScript counts the connections of a server: it hears of one that was lost between the threads, too.
    pub(crate) fn emit_lost(ctx: &Rc<Context>, server_id: u32, peer: PeerAddr) {
        let facts = ConnectionInfo {
            family: 0,
            remote: "",
            remote_port: 0,
            local: "",
            local_port: 0,
            secure: None,
            http2: false,
        };
        let mut connections = ctx.connections.borrow_mut();
        let id = connections
            .insert_with(|id| TableEntry::Serving(Self::new(ctx.clone(), id, server_id, peer)));
        connections.remove(id);
        ctx.emit(|batch| {
            batch.connection(id, server_id, &facts);
            batch.connection_closed(id);
        });
    }

    /// Wakes the connection's task, once however often this is called before the task runs.
    pub(crate) fn touch(&self) {
        if !self.is_wake_queued.replace(true)
            && let Some(me) = self.me.upgrade()
        {
            self.ctx.to_wake.borrow_mut().push(me);
        }
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        self.is_wake_queued.set(false);
        self.task.wake();
    }

    /// The wheel's entry has come up: says when it has to again.
    pub fn check_deadline(&self, now: u64) -> u64 {
        if self.deadline.get() <= now {
            self.is_deadline_due.set(true);
            self.wake();
        }
        self.deadline.get().max(now + 1)
    }

    /// Whether it belongs to the server `server_id`.
    pub fn belongs_to(&self, server_id: u32) -> bool {
        self.server_id == server_id
    }

    /// Whether a request is in hand or an answer is not sent.
    pub fn is_busy(&self) -> bool {
        self.exchange.borrow().is_some()
            || !self.out.borrow().is_empty()
            || self.streams.get().is_some_and(|streams| !streams.is_empty())
    }

    /// Takes the request in hand back if JavaScript has not taken it, and says whether that is so.
    pub(crate) fn withdraw(&self) -> bool {
        self.exchange.borrow_mut().as_mut().is_some_and(|exchange| exchange.withdraw(&self.ctx))
    }

    /// Whether the exchange in hand has nothing left to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(Exchange::is_finished)
    }

    /// Whether the connection ends behind what is to be sent.
    pub(crate) fn ends_now(&self) -> bool {
        self.closes_after_response.get()
            && self.exchange.borrow().as_ref().is_some_and(|exchange| {
                exchange.response_complete && exchange.body_done && exchange.tunnel.is_none()
            })
    }

    /// Whether the answer is complete, said that the connection ends, and leaves a body: nobody reads on, as on node.
    pub(crate) fn closes_early(&self) -> bool {
        self.closes_after_response.get()
            && self.exchange.borrow().as_ref().is_some_and(|exchange| {
                exchange.response_complete && !exchange.body_done && !exchange.notifies_when_sent
            })
    }

    /// The requests that are not answered yet.
    pub fn in_hand(&self) -> Vec<(RequestLabel, Instant)> {
        if let Some(streams) = self.streams.get() {
            return streams.in_flight();
        }
        let Ok(exchange) = self.exchange.try_borrow() else { return Vec::new() };
        exchange.as_ref().and_then(Exchange::in_hand).into_iter().collect()
    }

    /// Cuts the connection.
    pub fn abort_socket(&self) {
        self.is_aborted.set(true);
        self.touch();
    }

    /// Cuts the connection; its client gets a reset.
    pub fn abort_with_reset(&self) {
        self.aborts_with_reset.set(true);
        self.abort_socket();
    }

    /// Whether an answer is complete that may not have been sent; never of one whose requests are streams.
    pub(crate) fn has_complete_response(&self) -> bool {
        let exchange = self.exchange.borrow();
        self.streams.get().is_none()
            && exchange
                .as_ref()
                .map_or(!self.out.borrow().is_empty(), |exchange| exchange.response_complete)
    }

    /// Ends the connection behind what has been written.
    pub(crate) fn finish(&self) {
        self.closes_after_response.set(true);
        self.closes_after_write.set(true);
        self.touch();
    }

    /// Notes what the application wants of the socket.
    pub fn wish(&self, wish: SocketOption) {
        self.wishes.note(wish);
        self.touch();
    }

    /// Sets the end of the present wait. The deadline is set apart from it, since the wait may end later.
    pub(crate) fn wait(&self, after: Duration) {
        self.wait_ends_at.set(self.ctx.deadline(after));
    }

    pub(crate) fn set_deadline(&self, after: Duration) {
        self.set_deadline_at(self.ctx.deadline(after));
    }

    /// The wheel hears of it at once: its entry may be for a later deadline, such as the one of the first head.
    pub(crate) fn set_deadline_at(&self, deadline: u64) {
        self.deadline.set(deadline);
        // By place and not by id: the wheel has room for each key up to the highest.
        self.ctx.wheel.borrow_mut().insert(slot_of(self.id), deadline);
    }

    /// Comes up by then.
    pub(crate) fn set_deadline_no_later_than(&self, at: u64) {
        if at < self.deadline.get() {
            self.set_deadline_at(at);
        }
    }

    /// Hands the request over as far as it has arrived, and later the end of its body. Where the head has not been
    /// kept, the one in the context must still be this request's when this is called first.
    pub(crate) fn deliver(&self, exchange: &mut Exchange, trailers: &[u8]) {
        if exchange.is_dispatched {
            // Also of a body that is thrown away: whoever holds the request waits for its end.
            if exchange.body_done && !std::mem::replace(&mut exchange.end_emitted, true) {
                self.ctx.emit(|batch| batch.end(exchange.id, trailers));
            }
            return;
        }
        exchange.is_dispatched = true;
        exchange.buffered_len = 0;
        let whole = exchange.body_done && trailers.is_empty();
        exchange.end_emitted = exchange.body_done;
        let message = self.parsed_message.borrow();
        let body = match (whole, exchange.buffered_chunks.is_empty()) {
            (true, true) if message.body.is_empty() => RequestBody::None,
            (true, true) => RequestBody::Short(message.body.unread()),
            (true, false) => RequestBody::Whole(joined(&mut exchange.buffered_chunks)),
            (false, _) => RequestBody::Streams,
        };
        let kept = exchange.kept_head.take();
        let shared_head = self.ctx.head.borrow();
        let (head, bytes) = match &kept {
            Some(kept) => (&kept.head, &kept.bytes),
            None => (&*shared_head, &message.head),
        };
        let ahead = if head.is_upgrade { self.upgrade_bytes.take() } else { None };
        exchange.ahead = ahead.as_ref().map_or(0, |ahead| ahead.len());
        self.ctx.emit(|batch| {
            let policy = &self.limits.borrow().parse_policy;
            batch.request(
                (exchange.id, self.id),
                head,
                bytes,
                body,
                ahead.map(Bytes::from),
                policy,
            );
            for piece in exchange.buffered_chunks.drain(..).flat_map(request_body::pieces) {
                batch.data(exchange.id, piece);
            }
            if !whole && exchange.body_done {
                batch.end(exchange.id, trailers);
            }
        });
    }

    /// The client's address, empty on a unix socket.
    pub(crate) fn remote(&self) -> &str {
        self.remote.get_or_init(|| match self.peer.get() {
            PeerAddr::Ip(address) => address.ip().to_string(),
            PeerAddr::Unix => String::new(),
        })
    }

    /// The server's limits.
    pub(crate) fn limits(&self) -> Rc<Limits> {
        self.limits.borrow().clone()
    }

    /// Takes over what the PROXY protocol told of the client, before anybody has asked for it.
    pub(crate) fn set_proxied_addresses(&self, told: Option<(SocketAddr, SocketAddr)>) {
        if let Some((client, local)) = told {
            self.peer.set(PeerAddr::Ip(client));
            self.proxied_local.set(Some(local));
        }
    }

    /// Tells JavaScript of the connection, before its first request.
    pub(crate) fn announce(&self, stream: &Stream) {
        if self.is_announced.replace(true) {
            return;
        }
        let (family, remote_port) = match self.peer.get() {
            PeerAddr::Ip(address) => (if address.is_ipv4() { 4 } else { 6 }, address.port()),
            PeerAddr::Unix => (0, 0),
        };
        let local = self.proxied_local.get().or_else(|| stream.local_address());
        let local_text = local.map(|address| address.ip().to_string()).unwrap_or_default();
        let facts = ConnectionInfo {
            family,
            remote: self.remote(),
            remote_port,
            local: &local_text,
            local_port: local.map_or(0, |address| address.port()),
            secure: stream.tls(),
            http2: self.streams.get().is_some(),
        };
        self.ctx.emit(|batch| batch.connection(self.id, self.server_id, &facts));
    }

    /// Gives up the exchange in hand; JavaScript hears of it unless it had ended it.
    pub(crate) fn abort(&self) {
        let Some(exchange) = self.exchange.take() else { return };
        self.finish_accounting(&exchange);
        if exchange.is_dispatched
            && (!exchange.response_complete || exchange.notifies_when_sent || !exchange.body_done)
        {
            self.ctx.emit(|batch| batch.aborted(exchange.id));
        }
    }
}

/// The pieces as one; a single piece is not copied.
fn joined(pieces: &mut Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let whole = pieces.concat();
    pieces.clear();
    Bytes::from(whole)
}
