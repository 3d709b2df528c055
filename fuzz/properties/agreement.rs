//! What must hold between the guard and hyper, whatever a client sends: of a message that the guard has released whole,
//! hyper reads exactly the same, and both see its end at the same byte; or it refuses it, for its scheme or authority. A
//! request that one of two readers hides in the body of another is how requests are smuggled.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use monoceros_engine::exchange::request_head::RequestHead;
use monoceros_engine::guard::{Guard, Progress};
use monoceros_engine::pressure::limits::Limits;

/// A message as one of the two read it.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Message {
    method: Vec<u8>,
    /// Only of the origin form, with a letter for each byte that hyper would not take, and without a fragment, which it
    /// cuts off.
    target: Option<Vec<u8>>,
    minor: u8,
    /// Lower case, sorted by name; values of one name in their order.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Checks every message that the guard releases of an input.
pub fn check(input: &[u8]) {
    compared(input);
}

/// As `check`; how many messages both have read.
pub fn compared(input: &[u8]) -> usize {
    let mut count = 0;
    for (sent, head, message) in released(input) {
        let keep_alive = head.allows_keep_alive;
        let read = read_by_hyper(&[&masked(&sent, &head), CANARY].concat());
        let mut read = read.into_iter();
        let Some(first) = read.next() else {
            // hyper has an opinion of its own on schemes and authorities; it is all that it may refuse.
            let text = String::from_utf8_lossy(&sent);
            assert!(!head.target.of(&sent).starts_with(b"/"), "refused: {text:?}");
            continue;
        };
        count += 1;
        assert_eq!(first, message, "read otherwise: {:?}", String::from_utf8_lossy(&sent));
        let behind = read.next();
        if keep_alive {
            let canary = behind.as_ref().and_then(|next| next.target.as_deref());
            assert_eq!(canary, Some(&b"/canary"[..]), "another end: {sent:?}, {behind:?}");
        }
    }
    count
}

/// The messages that the guard releases whole, as they were sent, with their heads.
fn released(input: &[u8]) -> Vec<(Vec<u8>, RequestHead, Message)> {
    let limits = Limits::default();
    let mut messages = Vec::new();
    let mut guard = Guard::new();
    let mut head = RequestHead::default();
    let (mut text, mut body, mut begin, mut at) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        let into = if guard.is_awaiting_head() { &mut text } else { &mut body };
        let Ok((taken, progress)) = guard.advance(&input[at..], into, &mut head, &limits) else {
            break;
        };
        at += taken;
        if guard.is_complete() {
            let message = message_of(&head, &text, std::mem::take(&mut body), guard.trailers());
            messages.push((input[begin..at].to_vec(), head.clone(), message));
            text.clear();
            begin = at;
            guard.start_next_message();
        } else if taken == 0 || (at == input.len() && progress == Progress::More) {
            break;
        }
    }
    messages
}

/// What the guard made of a message.
fn message_of(head: &RequestHead, bytes: &[u8], body: Vec<u8>, trailers: &[u8]) -> Message {
    let fields = head.fields.iter().map(|(name, value)| (name.of(bytes), value.of(bytes)));
    let lines = trailers.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let trailers = lines.map(|line| {
        let colon = line.iter().position(|&byte| byte == b':').expect("the guard has seen it");
        (&line[..colon], line[colon + 1..].trim_ascii())
    });
    let target = head.target.of(bytes);
    Message {
        method: head.method.of(bytes).to_vec(),
        target: target.starts_with(b"/").then(|| {
            let visible = target.split(|&byte| byte == b'#').next().unwrap_or_default();
            visible.iter().copied().map(mask).collect()
        }),
        minor: head.minor_version,
        fields: sorted(fields),
        body,
        trailers: sorted(trailers),
    }
}

/// A message as hyper gets it. Its type for targets refuses bytes that RFC 3986 has no place for, which the guard takes;
/// hyper splits no line and finds no end by one of them.
fn masked(sent: &[u8], head: &RequestHead) -> Vec<u8> {
    let mut masked = sent.to_vec();
    for byte in &mut masked[head.target.start as usize..head.target.end as usize] {
        *byte = mask(*byte);
    }
    masked
}

fn mask(byte: u8) -> u8 {
    if b"\"<>\\^`{|}".contains(&byte) { b'x' } else { byte }
}

/// Everything that a client has sent, and will ever send.
struct Sent {
    bytes: Vec<u8>,
    position: usize,
    /// Nothing was left when hyper asked last.
    is_read: Rc<Cell<bool>>,
}

impl Read for Sent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let count = buf.remaining().min(self.bytes.len() - self.position);
        self.is_read.set(count == 0);
        if count == 0 {
            return Poll::Pending;
        }
        let end = self.position + count;
        buf.put_slice(&self.bytes[self.position..end]);
        self.position = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Sent {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What hyper reads of bytes that begin with a head, up to what it refuses.
fn read_by_hyper(bytes: &[u8]) -> Vec<Message> {
    let is_read = Rc::new(Cell::new(false));
    let sent = Sent { bytes: bytes.to_vec(), position: 0, is_read: is_read.clone() };
    let read: Rc<RefCell<Vec<Message>>> = Rc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let read = read.clone();
        async move {
            if let Ok(message) = message(request).await {
                read.borrow_mut().push(message);
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .auto_date_header(false)
            .header_read_timeout(None)
            .half_close(true)
            .max_buf_size(Limits::default().head_size().max(65_536))
            .serve_connection(sent, service)
    );
    let mut context = Context::from_waker(Waker::noop());
    // Everything is in memory: when all of it is read, a few polls more bring to an end what can come to one.
    let mut left = POLLS_BEHIND;
    while left > 0 && connection.as_mut().poll(&mut context).is_pending() {
        left = if is_read.get() { left - 1 } else { POLLS_BEHIND };
    }
    read.take()
}

async fn message(request: Request<Incoming>) -> Result<Message, hyper::Error> {
    let (parts, mut incoming) = request.into_parts();
    let (mut body, mut trailers) = (Vec::new(), Vec::<(Vec<u8>, Vec<u8>)>::new());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => {
                let map = frame.into_trailers().unwrap_or_default();
                trailers = map
                    .iter()
                    .filter(|(name, _)| !name.as_str().contains('_'))
                    .map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec()))
                    .collect();
            }
        }
    }
    let uri = &parts.uri;
    let authority = uri.authority().filter(|_| uri.scheme().is_some());
    // The guard leaves out names with underscores, and the authority of an absolute form stands for Host.
    let fields = parts.headers.iter().filter(|(name, _)| !name.as_str().contains('_'));
    let fields = fields.map(|(name, value)| match authority {
        Some(authority) if name == "host" => (&b"host"[..], authority.as_str().as_bytes()),
        _ => (name.as_str().as_bytes(), value.as_bytes()),
    });
    let target =
        uri.path_and_query().filter(|_| uri.scheme().is_none() && uri.authority().is_none());
    Ok(Message {
        method: parts.method.as_str().into(),
        target: target
            .map(|target| target.as_str().into())
            .filter(|target: &Vec<u8>| target.starts_with(b"/")),
        minor: u8::from(parts.version == Version::HTTP_11),
        fields: sorted(fields),
        body,
        trailers: sorted(trailers.iter().map(|(name, value)| (&name[..], &value[..]))),
    })
}

fn sorted<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    // Stable: the order of one name's values stays.
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

/// Stands behind each message: it is found exactly if both see the end at the same byte.
const CANARY: &[u8] = b"GET /canary HTTP/1.1\r\nHost: x\r\n\r\n";
const POLLS_BEHIND: usize = 32;
