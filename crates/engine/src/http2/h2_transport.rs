//! What h2 takes for its socket: it reads what the connection has read and looked at, and what it writes goes the way of
//! every other answer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffers::read_buffer::ReadBuffer;
use crate::pressure::limits::READ_AHEAD;
use crate::server::connection::Shared;

/// Bytes of the client that h2 has not read.
#[derive(Default)]
pub(crate) struct H2Input {
    pub bytes: ReadBuffer,
    /// The client has ended its side.
    pub is_eof: bool,
    /// h2 waits for room to write.
    pub is_write_blocked: bool,
}

/// One end of it, given to h2. Nobody is woken by it: the connection's task asks h2 in each of its turns.
pub(crate) struct H2Transport {
    pub input: Rc<RefCell<H2Input>>,
    pub shared: Rc<Shared>,
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
        let mut out = self.shared.out.borrow_mut();
        // A client that does not read makes h2 wait with everything, and us with reading.
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
        let mut out = self.shared.out.borrow_mut();
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
        // The connection flushes, and ends its side behind that.
        Poll::Ready(Ok(()))
    }
}
