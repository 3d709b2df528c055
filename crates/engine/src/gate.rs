//! The gate: what hyper takes for its socket. Bytes that the guard has released come out of it; what hyper writes
//! into it is thrown away, since every byte of an answer is written by the encoder.
//!
//! One thing hyper does not get as it was sent. Its type for targets refuses bytes that RFC 3986 has no place for (`"`,
//! `<`), which clients send all the same, and which node and Gunicorn take. Nothing depends on what hyper makes of them:
//! it splits no line and finds no end by a printable byte of the target, and JavaScript gets the target as the guard read
//! it. So hyper gets a letter in the place of each, and everything else is compared as ever.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::guard::is_uri;
use crate::request::{Head, Span};

/// The state behind a gate, shared with the connection's task.
#[derive(Default)]
pub struct Gated {
    /// Released bytes; the ones before `position` have been read by hyper.
    pub bytes: Vec<u8>,
    /// How far hyper has read.
    pub position: usize,
    /// hyper has asked for bytes and found none.
    pub waiting: bool,
    /// The target of the head in `bytes`, where it has bytes that hyper would not take.
    masked: Span,
}

impl Gated {
    /// Bytes that hyper has not taken yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Makes room before more is released: spans of the head are ranges of `bytes`, so this is never done while a
    /// head has just been released.
    pub fn compact(&mut self) {
        if self.position == self.bytes.len() {
            self.bytes.clear();
            self.position = 0;
            self.masked = Span::default();
            if self.bytes.capacity() > KEEP {
                self.bytes = Vec::new();
            }
        }
    }
}

impl Gated {
    /// Gives its memory back; everything has been read.
    pub fn park(&mut self) {
        self.compact();
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// A head has been released, which is all that there is.
    pub fn begin_head(&mut self, head: &Head) {
        self.masked = if head.odd_target { head.target } else { Span::default() };
    }

    /// The bytes from `position` to `end` as hyper gets them.
    fn give(&self, end: usize, buf: &mut ReadBufCursor<'_>) {
        let place = |at: u32| (at as usize).clamp(self.position, end);
        let (from, to) = (place(self.masked.start), place(self.masked.end));
        buf.put_slice(&self.bytes[self.position..from]);
        for &byte in &self.bytes[from..to] {
            buf.put_slice(&[mask(byte)]);
        }
        buf.put_slice(&self.bytes[to..end]);
    }
}

/// A byte of a target as hyper gets it.
#[must_use]
pub fn mask(byte: u8) -> u8 {
    if is_uri(byte) { byte } else { b'x' }
}

/// One end of the gate, given to hyper.
pub struct Gate(pub Rc<RefCell<Gated>>);

impl Read for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut gated = self.0.borrow_mut();
        let count = buf.remaining().min(gated.pending());
        if count == 0 {
            gated.waiting = true;
            return Poll::Pending;
        }
        let end = gated.position + count;
        gated.give(end, &mut buf);
        gated.position = end;
        gated.waiting = false;
        Poll::Ready(Ok(()))
    }
}

impl Write for Gate {
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

/// A larger buffer is given back when it is empty, so that an upload leaves no memory behind.
const KEEP: usize = 8_192;
