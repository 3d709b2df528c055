//! The gate: what hyper takes for its socket. Bytes that the guard has released come out of it; what hyper writes
//! into it is thrown away, since every byte of an answer is written by the encoder.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// The state behind a gate, shared with the connection's task.
#[derive(Default)]
pub(crate) struct Gated {
    /// Released bytes; the ones before `position` have been read by hyper.
    pub bytes: Vec<u8>,
    /// How far hyper has read.
    pub position: usize,
    /// hyper has asked for bytes and found none.
    pub waiting: bool,
}

impl Gated {
    /// Bytes that hyper has not taken yet.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Makes room before more is released: spans of the head are ranges of `bytes`, so this is never done while a
    /// head has just been released.
    pub fn compact(&mut self) {
        if self.position == self.bytes.len() {
            self.bytes.clear();
            self.position = 0;
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
}

/// One end of the gate, given to hyper.
pub(crate) struct Gate(pub Rc<RefCell<Gated>>);

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
        buf.put_slice(&gated.bytes[gated.position..gated.position + count]);
        gated.position += count;
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
