//! One HTTP/1 connection: a task that owns the socket, and the state it shares with the ring's task.
//!
//! The task reads, lets the guard release one message into the gate, polls hyper, and sends what the encoder wrote.
//! Commands of JavaScript reach the shared state through [`Answer`] and wake the task once a turn.

mod answer;
mod service;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::server::conn::http1;

use crate::context::Context;
use crate::encoder;
use crate::gate::{Gate, Gated};
use crate::guard::{Guard, Progress, Refusal};
use crate::inbound::{ConnectionFacts, RequestBody};
use crate::limits::{IDLE_DRAIN_TIME, LINGER_TIME, MAX_LINGER, READ_AHEAD, WHOLE_BODY};
use crate::listener::PeerAddr;
use crate::out::Out;
use crate::ring::HeadFlags;
use crate::stream::Stream;
use service::Service;

/// What a connection's task and the ring's task both touch.
pub(crate) struct Shared {
    ctx: Rc<Context>,
    id: u32,
    /// Which server of the program the connection belongs to.
    tag: u32,
    waker: RefCell<Option<Waker>>,
    gate: Rc<RefCell<Gated>>,
    out: RefCell<Out>,
    current: RefCell<Option<Current>>,
    /// JavaScript knows of this connection.
    told: Cell<bool>,
    /// Already among the connections to wake after the ring has been read.
    dirty: Cell<bool>,
    /// The exchange in hand has ended: hyper's service may resolve.
    token: Cell<bool>,
    /// The connection ends after the answer in hand.
    close: Cell<bool>,
    /// The connection is cut, whatever is unsent.
    cut: Cell<bool>,
    /// Why the message in hand is refused, as hyper's service found.
    refusal: Cell<Option<Refusal>>,
    /// On the clock of the context; `u64::MAX` for none.
    deadline: Cell<u64>,
    peer: PeerAddr,
    /// The client's address as text, once it has been asked for.
    remote: OnceCell<String>,
    /// Itself, for the list of connections to wake.
    me: Weak<Shared>,
}

/// The exchange in hand of a connection.
struct Current {
    id: u32,
    keep_alive: bool,
    started: Instant,
    /// The request has crossed to JavaScript.
    delivered: bool,
    /// Body pieces that wait for the rest, to cross whole.
    collected: Vec<Bytes>,
    collected_len: usize,
    credit: usize,
    body_bytes: u64,
    body_done: bool,
    /// JavaScript knows that the body is complete.
    end_told: bool,
    discard: bool,
    discarded: u64,
    status: u16,
    head_sent: bool,
    chunked: bool,
    no_body: bool,
    trailers: Vec<u8>,
    sent_bytes: u64,
    ended: bool,
    /// JavaScript wants to know when everything is sent.
    notify: bool,
    log: Option<Box<LogFacts>>,
}

/// What the access log needs at the end of an exchange.
struct LogFacts {
    head: Vec<u8>,
    method: crate::request::Span,
    target: crate::request::Span,
    minor: u8,
    fields: Vec<(crate::request::Span, crate::request::Span)>,
    response_fields: Vec<u8>,
}

impl Current {
    /// Nothing is left to do for it but to begin the next.
    fn is_finished(&self) -> bool {
        self.ended && self.body_done && !self.notify
    }
}

impl Shared {
    /// Wakes the connection's task, once however often this is called before the task runs.
    fn touch(&self) {
        if !self.dirty.replace(true)
            && let Some(me) = self.me.upgrade()
        {
            self.ctx.dirty.borrow_mut().push(me);
        }
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        self.dirty.set(false);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The deadline that the wheel asks for.
    pub fn deadline(&self) -> u64 {
        self.deadline.get()
    }

    /// Begins the drain: an idle connection gets a short while for a request that is on its way.
    pub fn drain(&self) {
        if self.current.borrow().is_none() {
            let soon = self.ctx.deadline(IDLE_DRAIN_TIME);
            self.deadline.set(self.deadline.get().min(soon));
        }
    }

    /// Whether it belongs to the server `tag`.
    pub fn belongs_to(&self, tag: u32) -> bool {
        self.tag == tag
    }

    /// Whether a request is in hand or an answer is not sent.
    pub fn is_busy(&self) -> bool {
        self.current.borrow().is_some() || !self.out.borrow().is_empty()
    }

    /// Cuts the connection.
    pub fn destroy(&self) {
        self.cut.set(true);
        self.touch();
    }

    fn set_deadline(&self, after: Duration) {
        self.deadline.set(self.ctx.deadline(after));
    }

    /// Hands the request over as far as it has arrived, and later the end of its body. The head in the context must
    /// still be this request's when this is called first.
    fn deliver(&self, current: &mut Current, trailers: &[u8]) {
        if current.delivered {
            if current.body_done
                && !current.discard
                && !std::mem::replace(&mut current.end_told, true)
            {
                self.ctx.tell(|batch| batch.end(current.id, trailers));
            }
            return;
        }
        current.delivered = true;
        let whole = current.body_done && trailers.is_empty();
        current.end_told = current.body_done;
        let body = match (whole, current.collected.is_empty()) {
            (true, true) => RequestBody::None,
            (true, false) => RequestBody::Whole(joined(&mut current.collected)),
            (false, _) => RequestBody::Streams,
        };
        let head = self.ctx.head.borrow();
        let gate = self.gate.borrow();
        self.ctx.tell(|batch| {
            batch.request(current.id, self.id, &head, &gate.bytes, body);
            for piece in current.collected.drain(..).flat_map(service::pieces) {
                batch.data(current.id, piece);
            }
            if !whole && current.body_done {
                batch.end(current.id, trailers);
            }
        });
    }

    /// The client's address, empty on a unix socket.
    fn remote(&self) -> &str {
        self.remote.get_or_init(|| match self.peer {
            PeerAddr::Ip(address) => address.ip().to_string(),
            PeerAddr::Unix => String::new(),
        })
    }

    /// Tells JavaScript of the connection, before its first request.
    fn tell_connection(&self, stream: &Stream) {
        if self.told.replace(true) {
            return;
        }
        let (family, remote_port) = match self.peer {
            PeerAddr::Ip(address) => (if address.is_ipv4() { 4 } else { 6 }, address.port()),
            PeerAddr::Unix => (0, 0),
        };
        let local = stream.local_address();
        let local_text = local.map(|address| address.ip().to_string()).unwrap_or_default();
        let facts = ConnectionFacts {
            family,
            remote: self.remote(),
            remote_port,
            local: &local_text,
            local_port: local.map_or(0, |address| address.port()),
        };
        self.ctx.tell(|batch| batch.connection(self.id, self.tag, &facts));
    }

    /// Gives up the exchange in hand; JavaScript hears of it unless it had ended it.
    fn abort(&self) {
        let Some(current) = self.current.take() else { return };
        self.close_books(&current);
        if current.delivered && (!current.ended || current.notify || !current.body_done) {
            self.ctx.tell(|batch| batch.aborted(current.id));
        }
    }

    /// Takes the exchange out of the table, counts and logs it.
    fn close_books(&self, current: &Current) {
        self.ctx.exchanges.borrow_mut().remove(current.id);
        let elapsed = self.ctx.now().duration_since(current.started);
        self.ctx.crossing.slot.request_finished(
            current.status,
            current.body_bytes,
            current.sent_bytes,
            elapsed.as_micros() as u64,
        );
        if !current.head_sent {
            return;
        }
        if let (Some(facts), Some(log)) = (&current.log, self.ctx.access.borrow_mut().as_mut()) {
            let fields: Vec<_> = facts
                .fields
                .iter()
                .map(|(name, value)| (name.of(&facts.head), value.of(&facts.head)))
                .collect();
            log.log(&crate::access::Entry {
                remote: Some(self.remote()).filter(|remote| !remote.is_empty()),
                method: facts.method.of(&facts.head),
                target: facts.target.of(&facts.head),
                version: if facts.minor == 1 { b"HTTP/1.1" } else { b"HTTP/1.0" },
                status: current.status,
                body_bytes: current.sent_bytes,
                duration: elapsed,
                request_fields: &fields,
                response_fields: &facts.response_fields,
                pid: std::process::id(),
            });
        }
    }

    /// Writes an answer of the engine's own and ends the connection behind it.
    fn refuse(&self, refusal: Refusal) {
        self.close.set(true);
        if self.current.borrow().as_ref().is_some_and(|current| current.head_sent) {
            // An answer is on its way: nothing can be said any more.
            return self.abort();
        }
        self.abort();
        let text = refusal.text();
        let fields = b"Content-Type: text/plain; charset=utf-8\r\n";
        let flags = HeadFlags::new(1 | 2 | 4 | 32);
        let date = self.ctx.date.borrow();
        let decision = encoder::Decision {
            close: true,
            keepalive_secs: 0,
            date: date.text(),
            length: Some(text.len() as u64 + 1),
        };
        self.out.borrow_mut().append(|out| {
            encoder::head(out, refusal.status(), None, fields, flags, &decision);
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        });
        self.ctx.crossing.slot.request_started();
        self.ctx.crossing.slot.request_finished(refusal.status(), 0, text.len() as u64 + 1, 0);
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

/// Where a connection is in its life.
enum Phase {
    /// Requests are read and answered.
    Serving,
    /// The last answer is being sent; then the connection is half closed.
    Flushing,
    /// Half closed; what the client still sends is thrown away, so that it reads the answer.
    Lingering { left: usize },
}

/// What a turn of the task came to.
enum Turn {
    Again,
    Wait,
    Flush,
    Gone,
}

type Hyper = http1::Connection<Gate, Service>;

/// The task of a connection.
pub(crate) struct Connection {
    shared: Rc<Shared>,
    stream: Stream,
    guard: Guard,
    hyper: Option<Pin<Box<Hyper>>>,
    /// Bytes that the guard could not take yet: a head in pieces, or pipelined requests.
    carry: Vec<u8>,
    phase: Phase,
}

impl Connection {
    pub fn new(ctx: Rc<Context>, stream: Stream, peer: PeerAddr, tag: u32) -> Self {
        let deadline = ctx.deadline(ctx.limits.head);
        let shared = ctx.connections.borrow_mut().insert_with(|id| {
            Rc::new_cyclic(|me| Shared {
                ctx: ctx.clone(),
                id,
                tag,
                waker: RefCell::default(),
                gate: Rc::default(),
                out: RefCell::default(),
                current: RefCell::default(),
                told: Cell::new(false),
                dirty: Cell::new(false),
                token: Cell::new(false),
                close: Cell::new(false),
                cut: Cell::new(false),
                refusal: Cell::new(None),
                deadline: Cell::new(deadline),
                peer,
                remote: OnceCell::new(),
                me: me.clone(),
            })
        });
        ctx.wheel.borrow_mut().insert(shared.id, deadline);
        if ctx.draining.get() {
            shared.drain();
        }
        Self {
            shared,
            stream,
            guard: Guard::new(),
            hyper: None,
            carry: Vec::new(),
            phase: Phase::Serving,
        }
    }

    /// One turn of a connection that reads and answers.
    fn serve(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        let shared = self.shared.clone();
        if shared.cut.get() {
            return Turn::Gone;
        }
        let sent = match shared.out.borrow_mut().poll_send(&mut self.stream, cx) {
            Poll::Ready(Err(_)) => return Turn::Gone,
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        if self.expired() {
            return self.on_deadline();
        }
        if sent {
            self.notify_sent();
        }
        let finished = shared.current.borrow().as_ref().is_some_and(Current::is_finished);
        if finished {
            return self.finish(cx);
        }
        let in_hand = shared.current.borrow().is_some();
        if in_hand && !self.body_is_done() {
            // hyper wakes this task when its body channel moves, JavaScript when it has given credit.
            if let Err(refusal) = self.poll_hyper(cx) {
                shared.refuse(refusal);
                return Turn::Flush;
            }
            if shared.current.borrow().as_ref().is_some_and(Current::is_finished) {
                return Turn::Again;
            }
        }
        // A client that does not read its answers gets no further ones made.
        if !in_hand && shared.out.borrow().len() > READ_AHEAD {
            return Turn::Wait;
        }
        if !self.carry.is_empty() && self.may_release() {
            let carry = std::mem::take(&mut self.carry);
            let result = self.release(&carry);
            let taken = match result {
                Ok(taken) => taken,
                Err(refusal) => return self.refuse(refusal),
            };
            self.carry = carry;
            self.carry.drain(..taken);
            if self.carry.is_empty() && self.carry.capacity() > KEEP_CARRY {
                self.carry = Vec::new();
            }
            if taken > 0 {
                return self.after_release(cx);
            }
        }
        self.read(cx)
    }

    fn read(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        let shared = self.shared.clone();
        if self.carry.len() >= READ_AHEAD.max(shared.ctx.limits.head_size())
            || shared.gate.borrow().pending() >= READ_AHEAD
        {
            return Turn::Wait;
        }
        let mut scratch = shared.ctx.scratch.borrow_mut();
        let count = match self.stream.poll_read(cx, &mut scratch) {
            Poll::Pending => return Turn::Wait,
            Poll::Ready(Err(_)) => return Turn::Gone,
            Poll::Ready(Ok(0)) => return self.on_end(),
            Poll::Ready(Ok(count)) => count,
        };
        let input = &scratch[..count];
        if !self.carry.is_empty() || !self.may_release() {
            self.carry.extend_from_slice(input);
            // The next turn releases what it can.
            return if self.may_release() { Turn::Again } else { Turn::Wait };
        }
        let taken = match self.release(input) {
            Ok(taken) => taken,
            Err(refusal) => return self.refuse(refusal),
        };
        self.carry.extend_from_slice(&input[taken..]);
        drop(scratch);
        if taken > 0 {
            return self.after_release(cx);
        }
        // The first bytes of a head: from here on it has its own time.
        shared.set_deadline(shared.ctx.limits.head);
        Turn::Again
    }

    /// Whether the guard may look at more input: it waits for a head and nobody is in hand, or it is inside a body.
    fn may_release(&self) -> bool {
        if self.guard.in_message() {
            return self.shared.gate.borrow().pending() < READ_AHEAD;
        }
        self.shared.current.borrow().is_none() && !self.guard.is_complete()
    }

    /// Lets the guard look at the input and returns how much it took.
    fn release(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let shared = &self.shared;
        let mut gate = shared.gate.borrow_mut();
        let mut head = shared.ctx.head.borrow_mut();
        gate.compact();
        let mut taken = 0;
        while taken < input.len() && gate.pending() < READ_AHEAD {
            let (count, progress) = self.guard.advance(
                &input[taken..],
                &mut gate.bytes,
                &mut head,
                &shared.ctx.limits,
            )?;
            taken += count;
            match progress {
                Progress::Head => {
                    if head.expects_continue {
                        // As node: before the handler runs, whether it reads the body or not.
                        shared.out.borrow_mut().append(|out| encoder::inform(out, 100, None, b""));
                    }
                    if self.guard.is_complete() {
                        break;
                    }
                }
                Progress::Complete => break,
                Progress::More => {
                    if count == 0 {
                        break;
                    }
                }
            }
        }
        Ok(taken)
    }

    /// Gives what was released to hyper and the request to JavaScript.
    fn after_release(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        match self.poll_hyper(cx) {
            Ok(()) => Turn::Again,
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Polls hyper until it has seen what was released; then the request in hand crosses, whole if it can.
    fn poll_hyper(&mut self, cx: &mut TaskContext<'_>) -> Result<(), Refusal> {
        let shared = self.shared.clone();
        shared.tell_connection(&self.stream);
        let hyper = self.hyper.get_or_insert_with(|| Box::pin(connect(&shared)));
        for _ in 0..MAX_POLLS {
            let ended = hyper.as_mut().get_mut().poll_without_shutdown(cx).is_ready();
            if let Some(refusal) = shared.refusal.take() {
                return Err(refusal);
            }
            if ended {
                self.hyper = None;
                // hyper has seen less in the message than the guard, or more.
                let mut current = shared.current.borrow_mut();
                return match current.as_mut() {
                    Some(current) if current.body_done => {
                        shared.deliver(current, self.guard.trailers());
                        Ok(())
                    }
                    _ => Err(Refusal::Disagreement),
                };
            }
            let mut current = shared.current.borrow_mut();
            // A whole head was released, and hyper has not made a request of it.
            let current = current.as_mut().ok_or(Refusal::Disagreement)?;
            let waits = !current.body_done
                && !current.delivered
                && self.guard.is_complete()
                && current.collected_len < WHOLE_BODY;
            if !waits {
                shared.deliver(current, self.guard.trailers());
                return Ok(());
            }
        }
        if let Some(current) = shared.current.borrow_mut().as_mut() {
            shared.deliver(current, self.guard.trailers());
        }
        Ok(())
    }

    fn body_is_done(&self) -> bool {
        self.shared.current.borrow().as_ref().is_none_or(|current| current.body_done)
    }

    /// Everything is sent: JavaScript hears of it if it asked.
    fn notify_sent(&self) {
        let mut current = self.shared.current.borrow_mut();
        if let Some(current) = current.as_mut()
            && std::mem::take(&mut current.notify)
        {
            self.shared.ctx.tell(|batch| batch.drained(current.id));
        }
    }

    /// Ends the exchange in hand and makes ready for the next.
    fn finish(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        let shared = self.shared.clone();
        let Some(current) = shared.current.take() else { return Turn::Again };
        shared.close_books(&current);
        if shared.close.get() {
            return Turn::Flush;
        }
        shared.token.set(true);
        if let Some(hyper) = &mut self.hyper {
            let ended = hyper.as_mut().get_mut().poll_without_shutdown(cx).is_ready();
            if ended || shared.token.get() {
                // hyper will not go on where we do (it closes what it has not read whole): a fresh state reads on.
                self.hyper = None;
            }
        }
        shared.token.set(false);
        self.guard.next();
        let draining = shared.ctx.draining.get();
        let limits = &shared.ctx.limits;
        shared.set_deadline(match (self.carry.is_empty(), draining) {
            (false, _) => limits.head,
            (true, false) => limits.keepalive,
            (true, true) => IDLE_DRAIN_TIME.min(limits.keepalive),
        });
        Turn::Again
    }

    fn refuse(&mut self, refusal: Refusal) -> Turn {
        self.shared.refuse(refusal);
        Turn::Flush
    }

    fn expired(&self) -> bool {
        let deadline = self.shared.deadline.get();
        deadline != u64::MAX && deadline <= self.shared.ctx.now_ms()
    }

    fn on_deadline(&mut self) -> Turn {
        if self.shared.current.borrow().is_some() {
            // The rest of a request body that nobody wants has not come in time.
            self.shared.abort();
            return Turn::Flush;
        }
        if self.carry.is_empty() { Turn::Flush } else { self.refuse(Refusal::HeadTimeout) }
    }

    /// The client has ended its side. As on node it counts as gone while an answer is due; else what is queued is sent.
    fn on_end(&mut self) -> Turn {
        let ended = self
            .shared
            .current
            .borrow()
            .as_ref()
            .is_none_or(|current| current.ended && current.body_done);
        if ended { Turn::Flush } else { Turn::Gone }
    }

    /// Sends what is left, half-closes, and reads until the client has closed too.
    fn close(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.shared.cut.get() || self.expired() {
            return Poll::Ready(());
        }
        if matches!(self.phase, Phase::Flushing) {
            let mut out = self.shared.out.borrow_mut();
            let before = out.len();
            let sent = out.poll_send(&mut self.stream, cx);
            if out.len() < before {
                self.shared.set_deadline(FLUSH_TIME);
            }
            drop(out);
            match sent {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            self.notify_sent();
            self.shared.abort();
            // A socket's shutdown is immediate; an error means that the peer is gone.
            if !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
                return Poll::Ready(());
            }
            self.phase = Phase::Lingering { left: MAX_LINGER };
            self.shared.set_deadline(LINGER_TIME);
        }
        let Phase::Lingering { left } = &mut self.phase else { return Poll::Ready(()) };
        let mut scratch = self.shared.ctx.scratch.borrow_mut();
        while *left > 0 {
            match self.stream.poll_read(cx, &mut scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => *left = left.saturating_sub(count),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        {
            let mut waker = self.shared.waker.borrow_mut();
            if waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        for _ in 0..MAX_TURNS {
            if !matches!(self.phase, Phase::Serving) {
                return self.close(cx);
            }
            match self.serve(cx) {
                Turn::Again => {}
                Turn::Wait => return Poll::Pending,
                Turn::Flush => {
                    self.phase = Phase::Flushing;
                    self.shared.set_deadline(FLUSH_TIME);
                }
                Turn::Gone => return Poll::Ready(()),
            }
        }
        // Others first: a client that sends without pause must not hold the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.abort();
        let ctx = &shared.ctx;
        if shared.told.get() {
            ctx.tell(|batch| batch.connection_closed(shared.id));
        }
        ctx.crossing.slot.connection_closed();
        let left = {
            let mut connections = ctx.connections.borrow_mut();
            connections.remove(shared.id);
            connections.len()
        };
        if left == 0 && ctx.draining.get() {
            ctx.tell(crate::inbound::Batch::idle);
        }
    }
}

/// hyper as the reader behind the gate: it writes no byte, keeps no time and never drains by itself.
fn connect(shared: &Rc<Shared>) -> Hyper {
    let mut builder = http1::Builder::new();
    builder
        .auto_date_header(false)
        .header_read_timeout(None)
        .max_buf_size(HYPER_BUFFER.max(shared.ctx.limits.head_size()));
    if shared.ctx.limits.request_fields > HYPER_FIELDS {
        builder.max_headers(shared.ctx.limits.request_fields);
    }
    builder.serve_connection(Gate(shared.gate.clone()), Service::new(shared.clone()))
}

/// Turns of a connection before others get theirs.
const MAX_TURNS: usize = 16;
/// Polls of hyper within one turn while a small body passes through its channel.
const MAX_POLLS: usize = 8;
/// A larger carry is given back once it is empty.
const KEEP_CARRY: usize = 4_096;
/// How long a client may take to read the last answer of a connection without taking a byte.
const FLUSH_TIME: Duration = Duration::from_secs(60);
/// hyper's smallest useful buffer bound.
const HYPER_BUFFER: usize = 65_536;
/// Up to here hyper keeps the fields on its stack.
const HYPER_FIELDS: usize = 100;
