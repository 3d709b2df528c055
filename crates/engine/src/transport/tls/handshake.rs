//! The handshake of a connection: it has a time and a number of its own, so that clients that begin and do not go on cost
//! little and hold up nobody. Behind it the connection goes to the protocol that was agreed on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use tokio::sync::Notify;

use super::handshake_rate::Pace;
use super::{Server, TlsStream};
use crate::guard::Refusal;
use crate::guard::proxy_protocol::{self, ProxyHeader};
use crate::pressure::settings::ProxyProtocol;
use crate::runtime::executor::{self, TaskWaker};
use crate::runtime::sockets::Socket;
use crate::runtime::timers::with_timeout;
use crate::server::connection::{self, Arrival};
use crate::server::context::Context;
use crate::transport::stream::Stream;

/// Those that are under way, the oldest first.
pub(crate) struct Handshakes {
    queue: RefCell<VecDeque<Rc<Entry>>>,
    open: Cell<usize>,
    most: usize,
    changed: Notify,
    pace: Pace,
}

/// One of them, as the queue has it: it stays there until its time is over.
struct Entry {
    begun: u64,
    until: Cell<u64>,
    state: Cell<State>,
    task: TaskWaker,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Open,
    /// Its time is over, or its place is needed.
    Cut,
    Over,
}

impl Handshakes {
    pub fn new(most: usize) -> Self {
        Self {
            queue: RefCell::default(),
            open: Cell::new(0),
            most: most.max(1),
            changed: Notify::new(),
            pace: Pace::default(),
        }
    }

    /// Whether several are under way and have come so fast that a message of one is hardly alone for long.
    pub fn are_dense(&self, now: impl FnOnce() -> u64) -> bool {
        self.len() >= SEVERAL && self.pace.is_dense(now())
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.open.get()
    }

    /// Ends the one that has taken longest, and says whether there was one.
    pub fn end_oldest(&self) -> bool {
        self.end_oldest_since(u64::MAX)
    }

    /// The same, if it has been [`YOUNG_MS`] by `now`.
    fn end_oldest_since(&self, now: u64) -> bool {
        let queue = self.queue.borrow();
        let Some(oldest) = queue.iter().find(|entry| entry.state.get() == State::Open) else {
            return false;
        };
        let is_old = oldest.begun + YOUNG_MS <= now;
        if is_old {
            oldest.cut();
        }
        is_old
    }

    /// The worker ends: they get no longer than an idle connection does.
    pub fn drain(&self, ctx: &Context) {
        let soon = ctx.deadline(ctx.idle_drain.get());
        for entry in self.queue.borrow().iter() {
            entry.until.set(entry.until.get().min(soon));
        }
        self.changed.notify_one();
    }

    fn enter(&self, now: u64, until: u64) -> Rc<Entry> {
        let open = self.open.get();
        if open >= self.most.saturating_mul(CROWD) {
            self.end_oldest();
        } else if open >= self.most {
            // Many that come at once do not stall: they have not had time to.
            self.end_oldest_since(now);
        }
        let entry = Rc::new(Entry {
            begun: now,
            until: Cell::new(until),
            state: Cell::new(State::Open),
            task: TaskWaker::default(),
        });
        self.open.set(self.open.get() + 1);
        let mut queue = self.queue.borrow_mut();
        while queue.front().is_some_and(|entry| entry.state.get() == State::Over) {
            queue.pop_front();
        }
        queue.push_back(entry.clone());
        if queue.len() == 1 {
            self.changed.notify_one();
        }
        entry
    }
}

impl Entry {
    fn cut(&self) {
        self.state.set(State::Cut);
        self.task.wake();
    }
}

/// Ends those whose time is over.
pub(crate) async fn ender(ctx: Rc<Context>) {
    let handshakes = &ctx.handshakes;
    loop {
        let next = handshakes.queue.borrow().front().map(|entry| entry.until.get());
        let Some(until) = next else {
            handshakes.changed.notified().await;
            continue;
        };
        let now = ctx.now_ms();
        if until > now {
            // Sooner only if all get less time.
            let _ = with_timeout(
                &ctx,
                Duration::from_millis(until - now),
                handshakes.changed.notified(),
            )
            .await;
            continue;
        }
        let Some(entry) = handshakes.queue.borrow_mut().pop_front() else { continue };
        if entry.state.get() == State::Open {
            entry.cut();
        }
    }
}

/// The task of a handshake.
struct Handshake {
    ctx: Rc<Context>,
    /// Until it is handed over.
    arrival: Option<Arrival>,
    entry: Rc<Entry>,
    stage: Stage,
    /// What has been read before rustls got anything.
    first: Vec<u8>,
    /// A proxy may tell of the client first.
    awaits_proxy: bool,
}

enum Stage {
    /// Nothing has come: until it does, the connection is no more than its socket.
    Silent(Socket, Rc<Server>),
    Speaking(Box<TlsStream>),
    Handed,
}

/// Begins the handshake of an accepted connection.
pub(crate) fn begin(arrival: Arrival, socket: Socket) {
    let ctx = arrival.ctx().clone();
    let Some(server) = ctx.tls_of(arrival.tag()) else {
        return arrival.lost();
    };
    let until = ctx.deadline(ctx.limits_of(arrival.tag()).settings.handshake_timeout);
    let entry = ctx.handshakes.enter(ctx.now_ms(), until);
    let (stage, first) = (Stage::Silent(socket, server), Vec::new());
    let awaits_proxy =
        ctx.limits_of(arrival.tag()).parse_policy.proxy_protocol != ProxyProtocol::Off;
    let handshake = Handshake { ctx, arrival: Some(arrival), entry, stage, first, awaits_proxy };
    executor::spawn(handshake);
}

impl Handshake {
    fn step(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if let Stage::Silent(socket, _) = &mut self.stage {
            let byte = loop {
                let mut first = [0; FIRST_READ];
                let count = ready!(socket.poll_read(cx, &mut first))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.first.extend_from_slice(&first[..count]);
                if self.awaits_proxy && !hear_proxy(&mut self.first, self.arrival.as_mut())? {
                    continue;
                }
                self.awaits_proxy = false;
                if let Some(&byte) = self.first.first() {
                    break byte;
                }
            };
            let Stage::Silent(socket, server) = std::mem::replace(&mut self.stage, Stage::Handed)
            else {
                return Poll::Ready(Ok(()));
            };
            if byte.is_ascii_alphabetic() || byte == b'\r' || byte == b'\n' {
                // No TLS begins so, while every HTTP request does.
                self.hand_over(Stream::Plain(socket), Some(Refusal::PlainHttpOnTlsPort));
                return Poll::Ready(Ok(()));
            }
            self.ctx.handshakes.pace.count(self.ctx.now_ms());
            self.stage = Stage::Speaking(Box::new(TlsStream::new(socket, &server, &self.first)?));
        }
        if let Stage::Speaking(stream) = &mut self.stage {
            ready!(stream.poll_handshake(cx, &mut self.first))?;
        }
        if let Stage::Speaking(stream) = std::mem::replace(&mut self.stage, Stage::Handed) {
            self.hand_over(Stream::Tls(stream), None);
        }
        Poll::Ready(Ok(()))
    }

    fn hand_over(&mut self, stream: Stream, refusal: Option<Refusal>) {
        if let Some(arrival) = self.arrival.take() {
            connection::serve(arrival, stream, refusal);
        }
    }
}

/// Takes what a proxy tells off the beginning; false where it has not come whole. Whoever may not tell is cut: an answer
/// would have to be encrypted.
fn hear_proxy(first: &mut Vec<u8>, arrival: Option<&mut Arrival>) -> io::Result<bool> {
    let Some(arrival) = arrival else { return Ok(true) };
    let limits = arrival.ctx().limits_of(arrival.tag());
    let may_tell = limits.parse_policy.proxy_allow_ips.trusts(&arrival.peer());
    match proxy_protocol::read(first, limits.parse_policy.proxy_protocol, may_tell) {
        Ok(ProxyHeader::Incomplete) => Ok(false),
        Ok(ProxyHeader::Absent) => Ok(true),
        Ok(ProxyHeader::Present { len, addresses }) => {
            first.drain(..len);
            arrival.tell(addresses);
            Ok(true)
        }
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Future for Handshake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.entry.state.get() == State::Cut {
            return Poll::Ready(());
        }
        let step = self.step(cx);
        if step.is_pending() {
            self.entry.task.note(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.entry.state.set(State::Over);
        self.entry.task.forget();
        let handshakes = &self.ctx.handshakes;
        handshakes.open.set(handshakes.open.get() - 1);
        let Some(arrival) = self.arrival.take() else { return };
        arrival.lost();
    }
}

/// A handshake that is younger is not ended for another one.
const YOUNG_MS: u64 = 1_000;
/// Unless there are so many times as many as there may be.
const CROWD: usize = 4;
/// With fewer under way each client would only wait longer.
const SEVERAL: usize = 4;
/// Most hellos are shorter; the rest of a longer one is read behind it.
const FIRST_READ: usize = 2_048;
