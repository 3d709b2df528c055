//! What a connection's task and the ring's task both touch: the exchange in hand, the bytes to send.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error_response::Refused;
use super::socket_options::Wishes;
use super::{Connected, Current, request_body};
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
pub(crate) struct Shared {
    pub(crate) ctx: Rc<Context>,
    pub(crate) id: u32,
    /// Which server of the program the connection belongs to.
    pub(crate) tag: u32,
    /// The server's.
    pub(crate) limits: RefCell<Rc<Limits>>,
    pub(crate) task: TaskWaker,
    pub(crate) parsed_message: RefCell<ParsedMessage>,
    pub(crate) out: RefCell<WriteQueue>,
    pub(crate) current: RefCell<Option<Current>>,
    /// JavaScript knows of this connection.
    pub(crate) told: Cell<bool>,
    /// Already among the connections to wake after the ring has been read.
    pub(crate) dirty: Cell<bool>,
    /// The connection ends after the answer in hand.
    pub(crate) close: Cell<bool>,
    /// The connection is cut, whatever is unsent.
    pub(crate) cut: Cell<bool>,
    /// The application has ended it: nothing follows what has been written.
    pub(crate) finishes: Cell<bool>,
    /// Cut by a reset.
    pub(crate) by_reset: Cell<bool>,
    /// What the application wants of the socket, until the connection's task runs.
    pub(crate) wishes: Wishes,
    /// On the clock of the context; `u64::MAX` for none.
    pub(crate) deadline: Cell<u64>,
    /// The wheel has found it passed.
    pub(crate) due: Cell<bool>,
    /// The end of the wait for a head, for its rest, or for the client's end.
    pub(crate) waits_until: Cell<u64>,
    /// Requests so far.
    pub(crate) requests: Cell<u32>,
    /// What has come behind the head of a request that asks for an upgrade, until the request crosses.
    pub(crate) ahead: Cell<Option<Box<[u8]>>>,
    /// The client, which a proxy may have told.
    pub(crate) peer: Cell<PeerAddr>,
    /// What the client had connected to, as a proxy told it.
    pub(crate) proxied: Cell<Option<SocketAddr>>,
    /// The client's address as text, once it has been asked for.
    pub(crate) remote: OnceCell<String>,
    /// Bytes held between two turns, and since when there have been any.
    pub(crate) held: Cell<usize>,
    pub(crate) holds_since: Cell<u64>,
    /// Since when its client has been behind with taking what waits for it; `u64::MAX` when nothing does.
    pub(crate) stalled_since: Cell<u64>,
    /// The same of the body that it owes.
    pub(crate) late_since: Cell<u64>,
    /// It is to end for the sake of others.
    pub(crate) shed: Cell<bool>,
    /// The place of its request is wanted for another.
    pub(crate) for_request: Cell<bool>,
    /// That has not been seen to yet.
    pub(crate) leaves: Cell<bool>,
    /// Whose answer a refusal waits for.
    pub(crate) refused: Cell<Refused>,
    /// An answer is complete and not sent.
    pub(crate) writing: Cell<bool>,
    /// The requests in hand of a connection that speaks HTTP/2.
    pub(crate) streams: OnceCell<Rc<Streams>>,
    /// Itself, for the list of connections to wake.
    pub(crate) me: Weak<Shared>,
}

impl Shared {
    pub fn new(ctx: Rc<Context>, id: u32, tag: u32, peer: PeerAddr) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            limits: RefCell::new(ctx.limits_of(tag)),
            ctx,
            id,
            tag,
            task: TaskWaker::default(),
            parsed_message: RefCell::default(),
            out: RefCell::default(),
            current: RefCell::default(),
            told: Cell::new(false),
            dirty: Cell::new(false),
            close: Cell::new(false),
            cut: Cell::new(false),
            finishes: Cell::new(false),
            by_reset: Cell::new(false),
            wishes: Wishes::default(),
            deadline: Cell::new(u64::MAX),
            due: Cell::new(false),
            waits_until: Cell::new(u64::MAX),
            requests: Cell::new(0),
            ahead: Cell::new(None),
            peer: Cell::new(peer),
            proxied: Cell::new(None),
            remote: OnceCell::new(),
            held: Cell::new(0),
            holds_since: Cell::new(0),
            stalled_since: Cell::new(u64::MAX),
            late_since: Cell::new(u64::MAX),
            shed: Cell::new(false),
            for_request: Cell::new(false),
            leaves: Cell::new(false),
            refused: Cell::new(Refused::Nothing),
            writing: Cell::new(false),
            streams: OnceCell::new(),
            me: me.clone(),
        })
    }

    /// JavaScript counts the connections of a server: it hears of one that was lost between the threads, too.
    pub(crate) fn tell_lost(ctx: &Rc<Context>, tag: u32, peer: PeerAddr) {
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
        let id =
            connections.insert_with(|id| Connected::Serving(Self::new(ctx.clone(), id, tag, peer)));
        connections.remove(id);
        ctx.tell(|batch| {
            batch.connection(id, tag, &facts);
            batch.connection_closed(id);
        });
    }

    /// Wakes the connection's task, once however often this is called before the task runs.
    pub(crate) fn touch(&self) {
        if !self.dirty.replace(true)
            && let Some(me) = self.me.upgrade()
        {
            self.ctx.dirty.borrow_mut().push(me);
        }
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        self.dirty.set(false);
        self.task.wake();
    }

    /// The wheel's entry has come up: says when it has to again.
    pub fn come_up(&self, now: u64) -> u64 {
        if self.deadline.get() <= now {
            self.due.set(true);
            self.wake();
        }
        self.deadline.get().max(now + 1)
    }

    /// Whether it belongs to the server `tag`.
    pub fn belongs_to(&self, tag: u32) -> bool {
        self.tag == tag
    }

    /// Whether a request is in hand or an answer is not sent.
    pub fn is_busy(&self) -> bool {
        self.current.borrow().is_some()
            || !self.out.borrow().is_empty()
            || self.streams.get().is_some_and(|streams| !streams.is_empty())
    }

    /// Takes the request in hand back if JavaScript has not taken it, and says whether that is so.
    pub(crate) fn withdraw(&self) -> bool {
        self.current.borrow_mut().as_mut().is_some_and(|current| current.withdraw(&self.ctx))
    }

    /// Whether the exchange in hand has nothing left to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.current.borrow().as_ref().is_some_and(Current::is_finished)
    }

    /// Whether the connection ends behind what is to be sent.
    pub(crate) fn ends_now(&self) -> bool {
        self.close.get()
            && self.current.borrow().as_ref().is_some_and(|current| {
                current.ended && current.body_done && current.tunnel.is_none()
            })
    }

    /// Whether the answer is complete, said that the connection ends, and leaves a body: nobody reads on, as on node.
    pub(crate) fn closes_early(&self) -> bool {
        self.close.get()
            && self
                .current
                .borrow()
                .as_ref()
                .is_some_and(|current| current.ended && !current.body_done && !current.notify)
    }

    /// The requests that are not answered yet.
    pub fn in_hand(&self) -> Vec<(RequestLabel, Instant)> {
        if let Some(streams) = self.streams.get() {
            return streams.in_flight();
        }
        let Ok(current) = self.current.try_borrow() else { return Vec::new() };
        current.as_ref().and_then(Current::in_hand).into_iter().collect()
    }

    /// Cuts the connection.
    pub fn destroy(&self) {
        self.cut.set(true);
        self.touch();
    }

    /// Cuts the connection; its client gets a reset.
    pub fn destroy_by_reset(&self) {
        self.by_reset.set(true);
        self.destroy();
    }

    /// Whether an answer is complete that may not have been sent; never of one whose requests are streams.
    pub(crate) fn has_answered(&self) -> bool {
        let current = self.current.borrow();
        self.streams.get().is_none()
            && current.as_ref().map_or(!self.out.borrow().is_empty(), |current| current.ended)
    }

    /// Ends the connection behind what has been written.
    pub(crate) fn finish(&self) {
        self.close.set(true);
        self.finishes.set(true);
        self.touch();
    }

    /// Notes what the application wants of the socket.
    pub fn wish(&self, wish: SocketOption) {
        self.wishes.note(wish);
        self.touch();
    }

    /// Sets the end of the present wait. The deadline is set apart from it, since the wait may end later.
    pub(crate) fn wait(&self, after: Duration) {
        self.waits_until.set(self.ctx.deadline(after));
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
    pub(crate) fn look_again_at(&self, at: u64) {
        if at < self.deadline.get() {
            self.set_deadline_at(at);
        }
    }

    /// Hands the request over as far as it has arrived, and later the end of its body. Where the head has not been
    /// kept, the one in the context must still be this request's when this is called first.
    pub(crate) fn deliver(&self, current: &mut Current, trailers: &[u8]) {
        if current.delivered {
            // Also of a body that is thrown away: whoever holds the request waits for its end.
            if current.body_done && !std::mem::replace(&mut current.end_told, true) {
                self.ctx.tell(|batch| batch.end(current.id, trailers));
            }
            return;
        }
        current.delivered = true;
        current.collected_len = 0;
        let whole = current.body_done && trailers.is_empty();
        current.end_told = current.body_done;
        let message = self.parsed_message.borrow();
        let body = match (whole, current.collected.is_empty()) {
            (true, true) if message.body.is_empty() => RequestBody::None,
            (true, true) => RequestBody::Short(message.body.unread()),
            (true, false) => RequestBody::Whole(joined(&mut current.collected)),
            (false, _) => RequestBody::Streams,
        };
        let kept = current.kept.take();
        let shared_head = self.ctx.head.borrow();
        let (head, bytes) = match &kept {
            Some(kept) => (&kept.head, &kept.bytes),
            None => (&*shared_head, &message.head),
        };
        let ahead = if head.is_upgrade { self.ahead.take() } else { None };
        current.ahead = ahead.as_ref().map_or(0, |ahead| ahead.len());
        self.ctx.tell(|batch| {
            let policy = &self.limits.borrow().parse_policy;
            batch.request((current.id, self.id), head, bytes, body, ahead.map(Bytes::from), policy);
            for piece in current.collected.drain(..).flat_map(request_body::pieces) {
                batch.data(current.id, piece);
            }
            if !whole && current.body_done {
                batch.end(current.id, trailers);
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
    pub(crate) fn set_proxied(&self, told: Option<(SocketAddr, SocketAddr)>) {
        if let Some((client, local)) = told {
            self.peer.set(PeerAddr::Ip(client));
            self.proxied.set(Some(local));
        }
    }

    /// Tells JavaScript of the connection, before its first request.
    pub(crate) fn tell_connection(&self, stream: &Stream) {
        if self.told.replace(true) {
            return;
        }
        let (family, remote_port) = match self.peer.get() {
            PeerAddr::Ip(address) => (if address.is_ipv4() { 4 } else { 6 }, address.port()),
            PeerAddr::Unix => (0, 0),
        };
        let local = self.proxied.get().or_else(|| stream.local_address());
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
        self.ctx.tell(|batch| batch.connection(self.id, self.tag, &facts));
    }

    /// Gives up the exchange in hand; JavaScript hears of it unless it had ended it.
    pub(crate) fn abort(&self) {
        let Some(current) = self.current.take() else { return };
        self.close_books(&current);
        if current.delivered && (!current.ended || current.notify || !current.body_done) {
            self.ctx.tell(|batch| batch.aborted(current.id));
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
