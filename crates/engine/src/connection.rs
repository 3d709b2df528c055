//! One HTTP/1 connection: a task that owns the socket, and the state it shares with the ring's task.
//!
//! The task reads, lets the guard release one message into the gate, polls hyper, and sends what the encoder wrote.
//! Commands of JavaScript reach the shared state through [`Answer`] and wake the task once a turn.

mod answer;
mod closing;
mod service;
mod shared;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use hyper::server::conn::http1;

use crate::context::Context;
use crate::encoder;
use crate::gate::Gate;
use crate::guard::{Guard, Progress, Refusal};
use crate::limits::{IDLE_DRAIN_TIME, READ_AHEAD, WHOLE_BODY};
use crate::listener::PeerAddr;
use crate::stream::Stream;
use service::Service;
pub(crate) use shared::Shared;
use shared::{Current, LogFacts};

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
    /// The client has ended its side.
    input_ended: bool,
    /// Where JavaScript was when an end of input was found with this exchange in hand.
    end_seen_at: Option<u64>,
}

impl Connection {
    pub fn new(ctx: Rc<Context>, stream: Stream, peer: PeerAddr, tag: u32) -> Self {
        let shared =
            ctx.connections.borrow_mut().insert_with(|id| Shared::new(ctx.clone(), id, tag, peer));
        shared.set_deadline(ctx.limits.head);
        ctx.first_connection.notify_one();
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
            input_ended: false,
            end_seen_at: None,
        }
    }

    /// One turn of a connection that reads and answers.
    fn serve(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        let shared = self.shared.clone();
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
        if self.input_ended {
            return self.on_end();
        }
        let shared = self.shared.clone();
        // A head may be as long as its limits allow; behind a request in hand no more than a few need wait.
        let is_head = shared.current.borrow().is_none();
        let most = READ_AHEAD.max(if is_head { shared.ctx.limits.head_size() } else { 0 });
        if self.carry.len() > most || shared.gate.borrow().pending() >= READ_AHEAD {
            return Turn::Wait;
        }
        let mut scratch = shared.ctx.scratch.borrow_mut();
        let count = match self.stream.poll_read(cx, &mut scratch) {
            Poll::Pending => return Turn::Wait,
            Poll::Ready(Err(_)) => return Turn::Gone,
            Poll::Ready(Ok(0)) => {
                self.input_ended = true;
                return self.on_end();
            }
            Poll::Ready(Ok(count)) => count,
        };
        let input = &scratch[..count];
        if !self.carry.is_empty() || !self.may_release() {
            self.carry.extend_from_slice(input);
            // The next turn releases what it can, or reads again: a socket wakes nobody before it was found empty.
            return Turn::Again;
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
        // By now hyper has read all that the guard released. If it ever had not, nothing behind could be trusted.
        let at_its_end = self.guard.is_complete() && shared.gate.borrow().pending() == 0;
        if shared.close.get() || !at_its_end {
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
        self.end_seen_at = None;
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
        if self.shared.cut.get() {
            // What was written before goes out as far as the socket takes it now, as node's writes do at once.
            let shared = self.shared.clone();
            let _ = shared.out.borrow_mut().poll_send(&mut self.stream, cx);
            return Poll::Ready(());
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
                    self.shared.set_deadline(closing::FLUSH_TIME);
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
/// hyper's smallest useful buffer bound.
const HYPER_BUFFER: usize = 65_536;
/// Up to here hyper keeps the fields on its stack.
const HYPER_FIELDS: usize = 100;
