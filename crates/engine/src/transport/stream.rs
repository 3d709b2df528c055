//! The byte stream of a connection: TCP, a unix socket, or TLS over TCP.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bridge::ring::SocketOption;
use crate::runtime::sockets::Socket;
use crate::transport::socket_queues::{unacknowledged, unread};
use crate::transport::tls::TlsStream;

/// The byte stream of a connection.
pub(crate) enum Stream {
    /// TCP or a unix socket.
    Plain(Socket),
    /// TLS, after the handshake.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Whether the descriptor is the only state of the stream, and its next event will be reported.
    /// TLS has state of its own.
    pub fn can_make_idle(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.can_make_idle(),
            Self::Tls(_) => false,
        }
    }

    /// Reads available bytes: `Ready(0)` is the end of input.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_read(cx, buf),
            Self::Tls(stream) => stream.poll_read(cx, buf),
        }
    }

    /// Writes as much as the socket takes. After `Pending`, pass the same bytes again.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_write(cx, slices),
            Self::Tls(stream) => stream.poll_send(cx, slices),
        }
    }

    /// Announces that the next write is the last of the connection, so that it may wait for the end
    /// of the stream and share its packet.
    pub fn mark_next_write_last(&mut self) {
        match self {
            Self::Plain(socket) => socket.mark_next_write_last(),
            Self::Tls(stream) => stream.mark_next_write_last(),
        }
    }

    /// Sends output that was held back to share a packet with the next write.
    pub fn flush_held(&mut self) {
        if let Self::Tls(stream) = self {
            stream.flush_held();
        }
    }

    /// Sends the TLS `close_notify` alert, if the stream is TLS.
    pub fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => stream.poll_close_notify(cx),
        }
    }

    /// Shuts down the sending side: the peer reads to the end of what was sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_close_notify(cx))?;
        self.socket().shutdown()
    }

    /// Whether received bytes are unread: closing the socket would then send a reset.
    pub fn has_unread(&self) -> bool {
        unread(self.socket().as_fd()) > 0
    }

    /// Bytes written that the peer has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        unacknowledged(self.socket().as_fd()) + self.tls().map_or(0, |tls| tls.pending() as u64)
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// The TCP socket, if there is one.
    fn tcp(&self) -> Option<&Socket> {
        Some(self.socket()).filter(|socket| socket.is_tcp())
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.tls().is_some()
    }

    /// The TLS stream, if the connection is encrypted.
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Self::Tls(stream) => Some(stream),
            Self::Plain(_) => None,
        }
    }

    /// The protocol that the TLS handshake negotiated (ALPN), if any.
    pub fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream.protocol(),
            Self::Plain(_) => None,
        }
    }

    /// Sends a reset instead of the unsent bytes when the stream is dropped.
    pub fn reset_on_close(&self) {
        if let Some(stream) = self.tcp() {
            reset_on_close(stream);
        }
    }

    /// Sets a socket option for the application. As in Node, an option that the system refuses is
    /// ignored.
    pub fn set_option(&self, option: SocketOption) {
        let Some(stream) = self.tcp() else { return };
        let socket = SockRef::from(stream);
        let _ = match option {
            SocketOption::NoDelay(on) => socket.set_tcp_nodelay(on),
            SocketOption::KeepAlive(on, 0) => socket.set_keepalive(on),
            SocketOption::KeepAlive(false, _) => socket.set_keepalive(false),
            SocketOption::KeepAlive(true, seconds) => {
                // The interval and the number of probes are those of libuv.
                let keep_alive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(seconds.into()))
                    .with_interval(Duration::from_secs(1))
                    .with_retries(10);
                socket.set_tcp_keepalive(&keep_alive)
            }
        };
    }

    /// Whether the peer has sent a reset, for connections that no task reads from.
    pub fn is_reset(&self) -> bool {
        self.socket().take_error().is_ok_and(|error| error.is_some())
    }

    /// The local address; `None` on a unix socket.
    pub fn local_address(&self) -> Option<std::net::SocketAddr> {
        self.tcp()?.local_address()
    }
}

/// Makes closing the socket send a reset to the peer.
pub(crate) fn reset_on_close(socket: &impl AsFd) {
    // If this fails, the kernel keeps sending to a client that does not read, which only wastes
    // bandwidth. A unix socket has no such option.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// The interface for Tokio and h2. It yields to other tasks after a number of reads and writes. A
/// write has taken the bytes that it reports, even if TLS still holds some of them until a flush.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.socket().budget().poll_operation(cx));
        let count = ready!(Stream::poll_read(self.get_mut(), cx, buf.initialize_unfilled()))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.socket().budget().poll_operation(cx));
        match self.get_mut() {
            Self::Plain(socket) => socket.poll_write(cx, slices),
            Self::Tls(stream) => stream.poll_write_buffered(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => stream.poll_flush_output(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_shutdown(self.get_mut(), cx)
    }
}
