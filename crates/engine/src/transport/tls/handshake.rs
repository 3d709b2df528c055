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

use super::handshake_rate::HandshakeRate;
use super::{TlsServer, TlsStream};
use crate::guard::Refusal;
use crate::guard::proxy_protocol::{self, ProxyHeader};
use crate::pressure::settings::ProxyProtocol;
use crate::runtime::executor::{self, TaskWaker};
use crate::runtime::sockets::Socket;
use crate::runtime::timers::with_timeout;
use crate::server::connection::{self, ConnectionPermit};
use crate::server::context::Context;
use crate::transport::stream::Stream;

/// Those that are under way, the oldest first.
pub(crate) struct Handshakes {
    queue: RefCell<VecDeque<Rc<PendingHandshake>>>,
    open: Cell<usize>,
    max_open: usize,
    changed: Notify,
    rate: HandshakeRate,
}

/// One of them, as the queue has it: it stays there deadline_ms its time is over.
struct PendingHandshake {
    started_at_ms: u64,
    deadline_ms: Cell<u64>,
    state: Cell<HandshakeState>,
    task: TaskWaker,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum HandshakeState {
    Open,
    /// Its time is over, or its place is needed.
    Aborted,
    Finished,
}

impl Handshakes {
    pub fn new(max_open: usize) -> Self {
        Self {
            queue: RefCell::default(),
            open: Cell::new(0),
            max_open: max_open.max(1),
            changed: Notify::new(),
            rate: HandshakeRate::default(),
        }
    }

    /// Whether several are under way and have come so fast that a message of one is hardly alone for long.
    pub fn are_dense(&self, now: impl FnOnce() -> u64) -> bool {
        self.len() >= MIN_CONCURRENT_FOR_DENSE && self.rate.is_dense(now())
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.open.get()
    }

    /// Ends the one that has taken longest, and says whether there was one.
    pub fn evict_oldest(&self) -> bool {
        self.evict_oldest_since(u64::MAX)
    }

    /// The same, if it has been [`MIN_EVICTION_AGE_MS`] by `now`.
    fn evict_oldest_since(&self, now: u64) -> bool {
        let queue = self.queue.borrow();
        let Some(oldest) = queue.iter().find(|pending| pending.state.get() == HandshakeState::Open)
        else {
            return false;
        };
        let is_old = oldest.started_at_ms + MIN_EVICTION_AGE_MS <= now;
        if is_old {
            oldest.abort();
        }
        is_old
    }

    /// The worker ends: they get no longer than an idle connection does.
    pub fn drain(&self, ctx: &Context) {
        let soon = ctx.deadline(ctx.idle_drain.get());
        for pending in self.queue.borrow().iter() {
            pending.deadline_ms.set(pending.deadline_ms.get().min(soon));
        }
        self.changed.notify_one();
    }

    fn enter(&self, now: u64, deadline_ms: u64) -> Rc<PendingHandshake> {
        let open = self.open.get();
        if open >= self.max_open.saturating_mul(MAX_OVERLOAD_FACTOR) {
            self.evict_oldest();
        } else if open >= self.max_open {
            // Many that come at once do not stall: they have not had time to.
            self.evict_oldest_since(now);
        }
        let pending = Rc::new(PendingHandshake {
            started_at_ms: now,
            deadline_ms: Cell::new(deadline_ms),
            state: Cell::new(HandshakeState::Open),
            task: TaskWaker::default(),
        });
        self.open.set(self.open.get() + 1);
        let mut queue = self.queue.borrow_mut();
        while queue.front().is_some_and(|pending| pending.state.get() == HandshakeState::Finished) {
            queue.pop_front();
        }
        queue.push_back(pending.clone());
        if queue.len() == 1 {
            self.changed.notify_one();
        }
        pending
    }
}

impl PendingHandshake {
    fn abort(&self) {
        self.state.set(HandshakeState::Aborted);
        self.task.wake();
    }
}

/// Ends those whose time is over.
pub(crate) async fn abort_expired_handshakes(ctx: Rc<Context>) {
    let handshakes = &ctx.handshakes;
    loop {
        let next = handshakes.queue.borrow().front().map(|pending| pending.deadline_ms.get());
        let Some(deadline_ms) = next else {
            handshakes.changed.notified().await;
            continue;
        };
        let now = ctx.now_ms();
        if deadline_ms > now {
            // Sooner only if all get less time.
            let _ = with_timeout(
                &ctx,
                Duration::from_millis(deadline_ms - now),
                handshakes.changed.notified(),
            )
            .await;
            continue;
        }
        let Some(pending) = handshakes.queue.borrow_mut().pop_front() else { continue };
        if pending.state.get() == HandshakeState::Open {
            pending.abort();
        }
    }
}

/// The task of a handshake.
struct HandshakeTask {
    ctx: Rc<Context>,
    /// Until it is handed over.
    permit: Option<ConnectionPermit>,
    pending: Rc<PendingHandshake>,
    stage: HandshakeStage,
    /// What has been read before rustls got anything.
    first: Vec<u8>,
    /// A proxy may tell of the client first.
    awaits_proxy: bool,
}

enum HandshakeStage {
    /// Nothing has come: deadline_ms it does, the connection is no more than its socket.
    Silent(Socket, Rc<TlsServer>),
    Speaking(Box<TlsStream>),
    Handed,
}

/// Begins the handshake of an accepted connection.
pub(crate) fn begin_handshake(permit: ConnectionPermit, socket: Socket) {
    let ctx = permit.ctx().clone();
    let Some(server) = ctx.tls_of(permit.server_id()) else {
        return permit.emit_unserved();
    };
    let deadline_ms = ctx.deadline(ctx.limits_of(permit.server_id()).settings.handshake_timeout);
    let pending = ctx.handshakes.enter(ctx.now_ms(), deadline_ms);
    let (stage, first) = (HandshakeStage::Silent(socket, server), Vec::new());
    let awaits_proxy =
        ctx.limits_of(permit.server_id()).parse_policy.proxy_protocol != ProxyProtocol::Off;
    let handshake =
        HandshakeTask { ctx, permit: Some(permit), pending, stage, first, awaits_proxy };
    executor::spawn(handshake);
}

impl HandshakeTask {
    fn step(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if let HandshakeStage::Silent(socket, _) = &mut self.stage {
            let byte = loop {
                let mut first = [0; FIRST_READ_BYTES];
                let count = ready!(socket.poll_read(cx, &mut first))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.first.extend_from_slice(&first[..count]);
                if self.awaits_proxy && !read_proxy_header(&mut self.first, self.permit.as_mut())? {
                    continue;
                }
                self.awaits_proxy = false;
                if let Some(&byte) = self.first.first() {
                    break byte;
                }
            };
            let HandshakeStage::Silent(socket, server) =
                std::mem::replace(&mut self.stage, HandshakeStage::Handed)
            else {
                return Poll::Ready(Ok(()));
            };
            if byte.is_ascii_alphabetic() || byte == b'\r' || byte == b'\n' {
                // No TLS begins so, while every HTTP request does.
                self.start_serving(Stream::Plain(socket), Some(Refusal::PlainHttpOnTlsPort));
                return Poll::Ready(Ok(()));
            }
            self.ctx.handshakes.rate.count(self.ctx.now_ms());
            self.stage =
                HandshakeStage::Speaking(Box::new(TlsStream::new(socket, &server, &self.first)?));
        }
        if let HandshakeStage::Speaking(stream) = &mut self.stage {
            ready!(stream.poll_handshake(cx, &mut self.first))?;
        }
        if let HandshakeStage::Speaking(stream) =
            std::mem::replace(&mut self.stage, HandshakeStage::Handed)
        {
            self.start_serving(Stream::Tls(stream), None);
        }
        Poll::Ready(Ok(()))
    }

    fn start_serving(&mut self, stream: Stream, refusal: Option<Refusal>) {
        if let Some(permit) = self.permit.take() {
            connection::serve(permit, stream, refusal);
        }
    }
}

/// Takes what a proxy tells off the beginning; false where it has not come whole. Whoever may not tell is abort: an answer
/// would have to be encrypted.
fn read_proxy_header(
    first: &mut Vec<u8>,
    permit: Option<&mut ConnectionPermit>,
) -> io::Result<bool> {
    let Some(permit) = permit else { return Ok(true) };
    let limits = permit.ctx().limits_of(permit.server_id());
    let may_tell = limits.parse_policy.proxy_allow_ips.trusts(&permit.peer());
    match proxy_protocol::read(first, limits.parse_policy.proxy_protocol, may_tell) {
        Ok(ProxyHeader::Incomplete) => Ok(false),
        Ok(ProxyHeader::Absent) => Ok(true),
        Ok(ProxyHeader::Present { len, addresses }) => {
            first.drain(..len);
            permit.set_proxied(addresses);
            Ok(true)
        }
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Future for HandshakeTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.pending.state.get() == HandshakeState::Aborted {
            return Poll::Ready(());
        }
        let step = self.step(cx);
        if step.is_pending() {
            self.pending.task.register(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for HandshakeTask {
    fn drop(&mut self) {
        self.pending.state.set(HandshakeState::Finished);
        self.pending.task.clear();
        let handshakes = &self.ctx.handshakes;
        handshakes.open.set(handshakes.open.get() - 1);
        let Some(permit) = self.permit.take() else { return };
        permit.emit_unserved();
    }
}

/// A handshake that is younger is not ended for another one.
const MIN_EVICTION_AGE_MS: u64 = 1_000;
/// Unless there are so many times as many as there may be.
const MAX_OVERLOAD_FACTOR: usize = 4;
/// With fewer under way each client would only wait longer.
const MIN_CONCURRENT_FOR_DENSE: usize = 4;
/// Most hellos are shorter; the rest of a longer one is read behind it.
const FIRST_READ_BYTES: usize = 2_048;
