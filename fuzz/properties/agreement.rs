//! Agreement between the guard and hyper, for any input. hyper must read each message that the
//! guard accepts in the same way, up to the same last byte. It may only refuse a message because of
//! its scheme or authority.
//!
//! Two parsers that disagree about the end of a message make request smuggling possible.

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

/// A message as one of the two parsers has read it.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Message {
    method: Vec<u8>,
    /// The target, if it has origin-form. Bytes that hyper refuses are replaced by a letter. The
    /// fragment is removed, as hyper does.
    target: Option<Vec<u8>>,
    minor_version: u8,
    /// Field names in lower case, sorted; values with the same name keep their order.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Checks every message of the input that the guard accepts.
pub fn check(input: &[u8]) {
    count_agreements(input);
}

/// Checks like `check`, and returns the number of messages that both parsers have read.
pub fn count_agreements(input: &[u8]) -> usize {
    let mut count = 0;
    for (sent, head, message) in parse_with_guard(input) {
        let keep_alive = head.allows_keep_alive;
        let read = parse_with_hyper(&[&mask_target(&sent, &head), CANARY].concat());
        let mut read = read.into_iter();
        let Some(first) = read.next() else {
            // hyper has its own rules for schemes and authorities; it may refuse nothing else.
            let text = String::from_utf8_lossy(&sent);
            assert!(!head.target.of(&sent).starts_with(b"/"), "refused: {text:?}");
            continue;
        };
        count += 1;
        assert_eq!(first, message, "read differently: {:?}", String::from_utf8_lossy(&sent));
        let next = read.next();
        if keep_alive {
            let canary = next.as_ref().and_then(|next| next.target.as_deref());
            assert_eq!(canary, Some(&b"/canary"[..]), "different end: {sent:?}, {next:?}");
        }
    }
    count
}

/// Returns the complete messages that the guard accepts: the bytes, the head and the parsed
/// message.
fn parse_with_guard(input: &[u8]) -> Vec<(Vec<u8>, RequestHead, Message)> {
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
            let message = to_message(&head, &text, std::mem::take(&mut body), guard.trailers());
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

/// Converts a message from the form of the guard.
fn to_message(head: &RequestHead, bytes: &[u8], body: Vec<u8>, trailers: &[u8]) -> Message {
    let fields = head.fields.iter().map(|(name, value)| (name.of(bytes), value.of(bytes)));
    let lines = trailers.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let trailers = lines.map(|line| {
        let colon = line.iter().position(|&byte| byte == b':').expect("the guard has checked it");
        (&line[..colon], line[colon + 1..].trim_ascii())
    });
    let target = head.target.of(bytes);
    Message {
        method: head.method.of(bytes).to_vec(),
        target: target.starts_with(b"/").then(|| {
            let visible = target.split(|&byte| byte == b'#').next().unwrap_or_default();
            visible.iter().copied().map(mask).collect()
        }),
        minor_version: head.minor_version,
        fields: sort_fields(fields),
        body,
        trailers: sort_fields(trailers),
    }
}

/// Replaces bytes of the target that RFC 3986 forbids and hyper refuses, but the guard accepts.
/// hyper uses none of them to split a line or to find an end.
fn mask_target(sent: &[u8], head: &RequestHead) -> Vec<u8> {
    let mut masked = sent.to_vec();
    for byte in &mut masked[head.target.start as usize..head.target.end as usize] {
        *byte = mask(*byte);
    }
    masked
}

fn mask(byte: u8) -> u8 {
    if b"\"<>\\^`{|}".contains(&byte) { b'x' } else { byte }
}

/// All bytes of a client; it sends nothing after them.
struct ClientStream {
    bytes: Vec<u8>,
    position: usize,
    /// Whether no bytes were left at hyper's last read.
    is_exhausted: Rc<Cell<bool>>,
}

impl Read for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let count = buf.remaining().min(self.bytes.len() - self.position);
        self.is_exhausted.set(count == 0);
        if count == 0 {
            return Poll::Pending;
        }
        let end = self.position + count;
        buf.put_slice(&self.bytes[self.position..end]);
        self.position = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for ClientStream {
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

/// Parses the bytes with hyper. Returns the messages before the first error.
fn parse_with_hyper(bytes: &[u8]) -> Vec<Message> {
    let is_exhausted = Rc::new(Cell::new(false));
    let sent =
        ClientStream { bytes: bytes.to_vec(), position: 0, is_exhausted: is_exhausted.clone() };
    let read: Rc<RefCell<Vec<Message>>> = Rc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let read = read.clone();
        async move {
            if let Ok(message) = read_message(request).await {
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
    // All bytes are in memory, so hyper needs only a few more polls after the last read.
    let mut left = EXTRA_POLLS;
    while left > 0 && connection.as_mut().poll(&mut context).is_pending() {
        left = if is_exhausted.get() { left - 1 } else { EXTRA_POLLS };
    }
    read.take()
}

async fn read_message(request: Request<Incoming>) -> Result<Message, hyper::Error> {
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
    // The guard drops names with underscores. The authority of absolute-form replaces `Host`.
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
        minor_version: u8::from(parts.version == Version::HTTP_11),
        fields: sort_fields(fields),
        body,
        trailers: sort_fields(trailers.iter().map(|(name, value)| (&name[..], &value[..]))),
    })
}

fn sort_fields<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    // The sort is stable, so values with the same name keep their order.
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

/// Request that follows each message. It is found only if both parsers see the same end.
const CANARY: &[u8] = b"GET /canary HTTP/1.1\r\nHost: x\r\n\r\n";
const EXTRA_POLLS: usize = 32;
