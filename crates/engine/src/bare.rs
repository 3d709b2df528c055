//! hyper alone on the socket, behind the same crossing: what the guard, the encoder and all deadlines cost is the
//! difference from this. It is there for the bench only (feature `bare`) and carries requests without a body.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bridge::event_batch::RequestBody;
use crate::bridge::ring::ResponseHead;
use crate::exchange::request_head::{RequestHead, Span};
use crate::exchange::response_sink::ResponseSink;
use crate::runtime::executor;
use crate::server::connection::Arrival;
use crate::server::context::Context;
use crate::transport::stream::Stream;

static CHOSEN: AtomicBool = AtomicBool::new(false);

/// From now on every connection of this process is served so.
pub fn choose() {
    CHOSEN.store(true, Ordering::Relaxed);
}

pub(crate) fn is_chosen() -> bool {
    CHOSEN.load(Ordering::Relaxed)
}

/// Serves a connection to its end.
pub(crate) fn serve(arrival: Arrival, stream: Stream) {
    let ctx = arrival.ctx().clone();
    executor::spawn(async move {
        let service = service_fn(|request| exchange(&ctx, request));
        // What becomes of the connection is the client's business; the bench counts answers.
        let _ = http1::Builder::new()
            .serve_connection(Socket { stream, ctx: ctx.clone() }, service)
            .await;
        drop(arrival);
    });
}

fn exchange(ctx: &Rc<Context>, request: Request<Incoming>) -> Answering {
    let answer = Rc::new(Pending::default());
    let id = ctx.exchanges.borrow_mut().insert_with(|_| answer.clone());
    ctx.handoff.slot.request_started();
    let mut bytes = Vec::new();
    let mut head =
        RequestHead { minor_version: 1, allows_keep_alive: true, ..RequestHead::default() };
    head.method = append(&mut bytes, request.method().as_str().as_bytes());
    let target = request.uri().path_and_query().map_or("*", |target| target.as_str());
    head.target = append(&mut bytes, target.as_bytes());
    for (name, value) in request.headers() {
        let name = append(&mut bytes, name.as_str().as_bytes());
        head.fields.push((name, append(&mut bytes, value.as_bytes())));
    }
    let policy = &ctx.limits.parse_policy;
    ctx.tell(|batch| batch.request((id, 0), &head, &bytes, RequestBody::None, None, policy));
    Answering { ctx: ctx.clone(), id, answer }
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(part);
    Span::new(start..bytes.len())
}

/// An answer that JavaScript is making.
#[derive(Default)]
struct Pending {
    response: RefCell<Response<Once>>,
    ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl ResponseSink for Pending {
    fn send_head(&self, head: &ResponseHead<'_>, _: Option<u64>) {
        let mut response = self.response.borrow_mut();
        *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or_default();
        for line in head.fields.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(0);
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                response.headers_mut().append(name, value);
            }
        }
    }

    fn send_data(&self, bytes: &[u8]) {
        self.response.borrow_mut().body_mut().0 = Some(Bytes::copy_from_slice(bytes));
    }

    fn end(&self, _: bool) {
        self.ended.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn send_interim(&self, _: &ResponseHead<'_>) {}
    fn send_large(&self, _: Bytes) {}
    fn add_trailers(&self, _: &[u8]) {}
    fn abort(&self) {}
    fn grant_credit(&self, _: u32) {}
    fn notify_when_sent(&self) {}
    fn decide_upgrade(&self, _: bool) {}
}

/// hyper's wait for it.
struct Answering {
    ctx: Rc<Context>,
    id: u32,
    answer: Rc<Pending>,
}

impl Future for Answering {
    type Output = Result<Response<Once>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if !self.answer.ended.get() {
            self.answer.waker.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        self.ctx.count(200, 0, 0, 0);
        Poll::Ready(Ok(self.answer.response.take()))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.ctx.exchanges.borrow_mut().remove(self.id);
    }
}

/// A body in one piece.
#[derive(Default)]
struct Once(Option<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A stream as hyper wants it.
struct Socket {
    stream: Stream,
    ctx: Rc<Context>,
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // As the guard's connections read: into the thread's own buffer, which nobody has to clear.
        let mut scratch = this.ctx.scratch.borrow_mut();
        let room = buf.remaining().min(scratch.len());
        let mut read = ReadBuf::new(&mut scratch[..room]);
        ready!(AsyncRead::poll_read(Pin::new(&mut this.stream), cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.stream), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), cx)
    }
}
