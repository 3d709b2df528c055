//! The transport of a connection: TCP or a unix socket. TLS becomes a third kind here.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::unacknowledged::unacknowledged;

/// A connected, non-blocking socket on the I/O thread.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Takes over an accepted, non-blocking descriptor.
    pub fn adopt(fd: OwnedFd, unix: bool) -> io::Result<Self> {
        if unix {
            return Ok(Self::Unix(UnixStream::from_std(fd.into())?));
        }
        Ok(Self::Tcp(TcpStream::from_std(fd.into())?))
    }

    /// Reads what is there: `Ready(0)` is the end of input.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let result = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buf),
        };
        result.map_ok(|()| buf.filled().len())
    }

    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One slice is the rule, and `send` is cheaper than `writev`.
        match (self, slices) {
            (Self::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Unix(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Tcp(stream), many) => Pin::new(stream).poll_write_vectored(cx, many),
            (Self::Unix(stream), many) => Pin::new(stream).poll_write_vectored(cx, many),
        }
    }

    /// Half-closes: the peer reads to the end of what was sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Bytes written that the peer's side has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        unacknowledged(match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        })
    }

    /// When it is dropped the peer gets a reset, and what the kernel still holds for it is thrown away.
    pub fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // Without it the kernel keeps sending to somebody who does not read, which is only a waste.
            let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// The address of our end; `None` on a unix socket.
    pub fn local_address(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}
