//! The transport that h2 uses instead of a socket. h2 reads the bytes that the connection has
//! scanned, and writes into the connection's write queue.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffers::read_buffer::ReadBuffer;
use crate::buffers::sizes::READ_AHEAD;
use crate::server::connection::state::ConnectionState;

/// Bytes from the client that h2 has not read yet.
#[derive(Default)]
pub(crate) struct H2Input {
    /// The bytes, in the order of arrival.
    pub bytes: ReadBuffer,
    /// Whether the client has closed its sending side.
    pub is_eof: bool,
    /// Whether h2 waits for room in the write queue.
    pub is_write_blocked: bool,
}

/// The transport of one connection. It wakes no task: the connection's task polls h2 in each of its
/// turns.
pub(crate) struct H2Transport {
    pub input: Rc<RefCell<H2Input>>,
    pub shared: Rc<ConnectionState>,
}

impl AsyncRead for H2Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut input = self.input.borrow_mut();
        let count = buf.remaining().min(input.bytes.len());
        if count == 0 && !input.is_eof {
            return Poll::Pending;
        }
        buf.put_slice(&input.bytes.unread()[..count]);
        input.bytes.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut out = self.shared.write_queue.borrow_mut();
        // A client that does not read stops h2 from writing, and thereby the engine from reading.
        if out.len() >= READ_AHEAD {
            self.input.borrow_mut().is_write_blocked = true;
            return Poll::Pending;
        }
        out.append(|out| out.extend_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut out = self.shared.write_queue.borrow_mut();
        if out.len() >= READ_AHEAD {
            self.input.borrow_mut().is_write_blocked = true;
            return Poll::Pending;
        }
        let before = out.len();
        out.append(|out| slices.iter().for_each(|slice| out.extend_from_slice(slice)));
        Poll::Ready(Ok(out.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection flushes the write queue and then closes its sending side.
        Poll::Ready(Ok(()))
    }
}
