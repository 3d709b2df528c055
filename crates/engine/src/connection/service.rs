//! hyper's service: it compares hyper's reading of a request with the guard's, begins the exchange, and passes the
//! body on by credit. Its response is a token that the gate throws away.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::{Current, Shared};
use crate::admission;
use crate::gate::mask;
use crate::guard::Refusal;
use crate::limits::MAX_PIECE;
use crate::request::{Framing, Head};

/// The service of one connection.
pub(super) struct Service {
    shared: Rc<Shared>,
}

impl Service {
    pub fn new(shared: Rc<Shared>) -> Self {
        Self { shared }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Nothing>;
    type Error = Infallible;
    type Future = Exchange;

    fn call(&self, request: Request<Incoming>) -> Exchange {
        let shared = self.shared.clone();
        if let Err(refusal) = begin(&shared, &request) {
            shared.refusal.set(Some(refusal));
        }
        Exchange { shared, body: Some(request.into_body()) }
    }
}

fn begin(shared: &Rc<Shared>, request: &Request<Incoming>) -> Result<(), Refusal> {
    let ctx = &shared.ctx;
    let head = ctx.head.borrow();
    let gate = shared.gate.borrow();
    if !agree(&head, &gate.bytes, request) {
        return Err(Refusal::Disagreement);
    }
    let in_hand = ctx.in_hand() - usize::from(shared.writing.get());
    let overloaded = in_hand >= ctx.limits.worker_connections;
    let has_body = head.framing != Framing::None;
    let overloaded = overloaded && !admission::make_way(ctx);
    if overloaded || (has_body && ctx.memory.is_full(&ctx.crossing)) {
        return Err(Refusal::Overloaded);
    }
    let id = ctx.exchanges.borrow_mut().insert_with(|_| shared.clone());
    ctx.crossing.slot.request_started();
    let version: &[u8] = if head.minor == 1 { b"HTTP/1.1" } else { b"HTTP/1.0" };
    shared.deadline.set(u64::MAX);
    shared.requests.set(shared.requests.get().saturating_add(1));
    *shared.current.borrow_mut() = Some(Current::new(ctx, id, &head, &gate.bytes, version));
    Ok(())
}

/// Two parsers must agree before anything reaches JavaScript.
fn agree(head: &Head, bytes: &[u8], request: &Request<Incoming>) -> bool {
    let version = if head.minor == 1 { hyper::Version::HTTP_11 } else { hyper::Version::HTTP_10 };
    let target = head.target.of(bytes);
    let same_target = match target {
        // hyper cuts a fragment off; node and the guard keep it.
        [b'/', ..] => request.uri().path_and_query().is_some_and(|read| {
            let visible = target.split(|&byte| byte == b'#').next().unwrap_or(target);
            let read = read.as_str().as_bytes();
            read == visible
                || head.odd_target && read.iter().copied().eq(visible.iter().copied().map(mask))
        }),
        _ => true,
    };
    let size = request.body().size_hint();
    let same_framing = match head.framing {
        Framing::None => request.body().is_end_stream(),
        Framing::Length(length) => size.exact() == Some(length),
        Framing::Chunked => size.exact().is_none(),
    };
    request.method().as_str().as_bytes() == head.method.of(bytes)
        && request.version() == version
        && request.headers().len() == head.fields.len() + head.dropped
        && same_target
        && same_framing
}

/// The future of one exchange in hyper's eyes: it reads the body and resolves when the exchange has ended.
pub(super) struct Exchange {
    shared: Rc<Shared>,
    body: Option<Incoming>,
}

impl Future for Exchange {
    type Output = Result<Response<Nothing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.read_body(cx);
        if self.shared.token.replace(false) {
            self.body = None;
            return Poll::Ready(Ok(Response::new(Nothing)));
        }
        Poll::Pending
    }
}

impl Exchange {
    /// Takes what hyper has of the body as far as JavaScript's credit goes.
    fn read_body(&mut self, cx: &mut Context<'_>) {
        let shared = &self.shared;
        let mut current = shared.current.borrow_mut();
        let Some(current) = current.as_mut() else { return };
        while let Some(body) = &mut self.body {
            if current.body_done {
                self.body = None;
                return;
            }
            if current.credit == 0 && !current.discard {
                return;
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        piece(shared, current, data);
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    shared.refusal.set(Some(Refusal::BadChunk));
                    self.body = None;
                }
                Poll::Ready(None) => {
                    // The task tells JavaScript, with the trailers that the guard kept.
                    current.body_done = true;
                }
            }
        }
    }
}

pub(super) fn piece(shared: &Shared, current: &mut Current, data: Bytes) {
    current.body_bytes += data.len() as u64;
    if current.discard {
        current.discarded += data.len() as u64;
        if current.discarded > shared.limits().discard {
            // Closing costs less than reading on; the answer said nothing of it, and the lingering lets it be read.
            shared.close.set(true);
            current.body_done = true;
        }
        return;
    }
    current.credit = current.credit.saturating_sub(data.len());
    if current.delivered {
        shared.ctx.tell(|batch| {
            for piece in pieces(data) {
                batch.data(current.id, piece);
            }
        });
    } else {
        current.collected_len += data.len();
        current.collected.push(data);
    }
}

/// Cuts data into what crosses at once.
pub(super) fn pieces(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = data.split_to(data.len().min(MAX_PIECE));
        (!piece.is_empty()).then_some(piece)
    })
}

/// The body of the token response.
pub(super) struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
