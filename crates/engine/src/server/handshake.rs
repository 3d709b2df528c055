//! The TLS handshake of an accepted connection. After it, the connection is passed to the
//! negotiated protocol.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};

use super::admission::relieve;
use super::connection::permit::ConnectionPermit;
use super::connection::task::serve;
use super::context::Context;
use crate::buffers::sizes::FIRST_TLS_READ_BYTES;
use crate::guard::Refusal;
use crate::guard::proxy_protocol::{self, ProxyHeader};
use crate::pressure::settings::ProxyProtocol;
use crate::runtime::alarms::Alarm;
use crate::runtime::sockets::Socket;
use crate::scoreboard::layout::{Histogram, MetricCell};
use crate::transport::stream::Stream;
use crate::transport::tls::{PendingHandshake, TlsServer, TlsStream};

/// Aborts the handshakes whose deadline has passed.
pub(crate) fn abort_expired_handshakes(ctx: &Context) {
    ctx.pressure.handshakes.abort_expired(ctx.clock.now_ms());
    set_alarm(ctx);
}

/// Shortens the deadlines to that of idle connections, because the worker is draining.
pub(crate) fn drain_handshakes(ctx: &Context) {
    let soon = ctx.clock.deadline(ctx.lifecycle.idle_drain.get());
    ctx.pressure.handshakes.shorten_deadlines(soon);
    set_alarm(ctx);
}

/// Sets the alarm for the oldest handshake.
fn set_alarm(ctx: &Context) {
    if let Some(deadline) = ctx.pressure.handshakes.next_deadline() {
        ctx.alarms.set(Alarm::Handshakes, ctx.clock.to_time(deadline));
    }
}

/// Publishes the number of handshakes in progress.
fn publish_count(ctx: &Context) {
    let count = ctx.pressure.handshakes.len() as u64;
    ctx.handoff.slot.set_gauge(MetricCell::ConnectionsHandshaking, count);
}

/// The task that runs one handshake.
struct HandshakeTask {
    ctx: Rc<Context>,
    /// The permit of the connection, until it is passed to the protocol.
    permit: Option<ConnectionPermit>,
    pending: Rc<PendingHandshake>,
    stage: HandshakeStage,
    /// Bytes read before the TLS stream existed.
    first_bytes: Vec<u8>,
    /// Whether a PROXY protocol header may come first.
    awaits_proxy: bool,
}

/// How far a handshake has come.
enum HandshakeStage {
    /// The client has sent no byte: until it does, the connection is only a socket.
    AwaitingFirstByte(Socket, Rc<TlsServer>),
    /// rustls processes the handshake.
    InProgress(Box<TlsStream>, Rc<TlsServer>),
    /// The connection has been passed to its protocol.
    HandedOver,
}

/// Starts the handshake of an accepted connection.
pub(crate) fn begin_handshake(permit: ConnectionPermit, socket: Socket) {
    let ctx = permit.ctx().clone();
    let Some(server) = ctx.servers.tls_of(permit.server_id()) else {
        return permit.emit_unserved();
    };
    let deadline_ms =
        ctx.clock.deadline(ctx.servers.limits_of(permit.server_id()).settings.handshake_timeout);
    if let Some(shortage) = ctx.pressure.handshakes.shortage() {
        relieve(&ctx, shortage);
    }
    let pending = ctx.pressure.handshakes.enter(ctx.clock.now_ms(), deadline_ms);
    set_alarm(&ctx);
    publish_count(&ctx);
    let (stage, first_bytes) = (HandshakeStage::AwaitingFirstByte(socket, server), Vec::new());
    let awaits_proxy =
        ctx.servers.limits_of(permit.server_id()).parse_policy.proxy_protocol != ProxyProtocol::Off;
    let executor = ctx.executor.clone();
    executor.spawn(HandshakeTask {
        ctx,
        permit: Some(permit),
        pending,
        stage,
        first_bytes,
        awaits_proxy,
    });
}

impl HandshakeTask {
    fn step(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if let HandshakeStage::AwaitingFirstByte(socket, _) = &mut self.stage {
            let byte = loop {
                let mut read = [0; FIRST_TLS_READ_BYTES];
                let count = ready!(socket.poll_read(cx, &mut read))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.first_bytes.extend_from_slice(&read[..count]);
                if self.awaits_proxy
                    && !read_proxy_header(&mut self.first_bytes, self.permit.as_mut())?
                {
                    continue;
                }
                self.awaits_proxy = false;
                if let Some(&byte) = self.first_bytes.first() {
                    break byte;
                }
            };
            let HandshakeStage::AwaitingFirstByte(socket, server) =
                std::mem::replace(&mut self.stage, HandshakeStage::HandedOver)
            else {
                return Poll::Ready(Ok(()));
            };
            if byte.is_ascii_alphabetic() || byte == b'\r' || byte == b'\n' {
                // No TLS record begins with such a byte, and every HTTP request does.
                self.start_serving(Stream::Plain(socket), Some(Refusal::PlainHttpOnTlsPort));
                return Poll::Ready(Ok(()));
            }
            let stream = Box::new(TlsStream::new(socket, &server, &self.first_bytes)?);
            self.stage = HandshakeStage::InProgress(stream, server);
        }
        if let HandshakeStage::InProgress(stream, server) = &mut self.stage {
            ready!(stream.poll_handshake(cx, server, &mut self.first_bytes))?;
        }
        if let HandshakeStage::InProgress(stream, _) =
            std::mem::replace(&mut self.stage, HandshakeStage::HandedOver)
        {
            let ctx = &self.ctx;
            let ms = ctx.clock.now_ms().saturating_sub(self.pending.started_at_ms());
            ctx.handoff.slot.record(Histogram::HandshakeDuration, ms * 1_000);
            self.start_serving(Stream::Tls(stream), None);
        }
        Poll::Ready(Ok(()))
    }

    fn has_begun(&self) -> bool {
        matches!(self.stage, HandshakeStage::InProgress(..))
    }

    fn start_serving(&mut self, stream: Stream, refusal: Option<Refusal>) {
        if let Some(permit) = self.permit.take() {
            serve(permit, stream, None, refusal);
        }
    }
}

/// Removes a PROXY protocol header from the first bytes. Returns `false` while it is incomplete. An
/// invalid header, or one from a peer that is not trusted, aborts the connection: a response would
/// have to be encrypted.
fn read_proxy_header(
    first_bytes: &mut Vec<u8>,
    permit: Option<&mut ConnectionPermit>,
) -> io::Result<bool> {
    let Some(permit) = permit else { return Ok(true) };
    let limits = permit.ctx().servers.limits_of(permit.server_id());
    let may_tell = limits.parse_policy.proxy_allow_ips.trusts(&permit.peer());
    match proxy_protocol::read(first_bytes, limits.parse_policy.proxy_protocol, may_tell) {
        Ok(ProxyHeader::Incomplete) => Ok(false),
        Ok(ProxyHeader::Absent) => Ok(true),
        Ok(ProxyHeader::Present { len, addresses }) => {
            first_bytes.drain(..len);
            permit.set_proxied(addresses);
            Ok(true)
        }
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Future for HandshakeTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.pending.is_aborted() {
            return Poll::Ready(());
        }
        let step = self.step(cx);
        if step.is_pending() {
            self.pending.register(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for HandshakeTask {
    fn drop(&mut self) {
        let was_aborted = self.ctx.pressure.handshakes.finish(&self.pending);
        publish_count(&self.ctx);
        let Some(permit) = self.permit.take() else { return };
        // A client that closes without a byte has not begun a handshake.
        if was_aborted || !self.first_bytes.is_empty() || self.has_begun() {
            self.ctx.count(MetricCell::HandshakeFailures);
        }
        permit.emit_unserved();
    }
}
