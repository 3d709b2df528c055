//! The record layer of a TLS connection, over rustls' unbuffered API: rustls encrypts and decides,
//! this module moves the bytes. So a connection keeps nothing from one turn to the next unless a
//! record is incomplete or the socket is full.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ProtocolVersion;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};

use super::TlsServer;
use super::buffers::{SCRATCH_BYTES, drain, encode, encode_data, required_space};
use super::client_verifier::{ClientVerdict, ClientVerifier};
use crate::buffers::sizes::{
    MAX_HANDSHAKE_BYTES, MAX_PENDING_OUTPUT_BYTES, MAX_PLAINTEXT_BYTES, MIN_TLS_READ_BYTES,
};
use crate::runtime::sockets::Socket;

/// A TLS connection over TCP, from the first byte of its handshake.
pub(crate) struct TlsStream {
    socket: Socket,
    pub(super) tls: UnbufferedServerConnection,
    /// Received bytes of an incomplete record or handshake message.
    unprocessed: Vec<u8>,
    /// Decrypted bytes that have not been read.
    plaintext: Vec<u8>,
    /// Encrypted bytes that the socket has not taken.
    out: Vec<u8>,
    /// Plaintext bytes that `poll_send` has encrypted but not yet reported as written.
    unreported_bytes: usize,
    /// Whether the bytes in `out` wait for the next write, to share its packet.
    holds_output: bool,
    /// The next write is sent together with `close_notify`.
    is_last_write_next: bool,
    input: InputState,
    /// Whether our `close_notify` is in `out` or sent.
    close_notify_queued: bool,
    /// Whether the end of input without a `close_notify` is an error instead of an end.
    requires_close_notify: bool,
    /// The host name that the client requested (SNI).
    server_name: Option<Box<str>>,
    /// Verifies the client, if a certificate is requested.
    client_verifier: Option<Arc<ClientVerifier>>,
    /// The result of verifying the client.
    verdict: ClientVerdict,
}

/// The state of the client's side.
#[derive(Clone, Copy, Eq, PartialEq)]
enum InputState {
    /// More input may arrive.
    Open,
    /// The client has sent `close_notify`.
    Ended,
    /// The socket was closed without `close_notify`.
    Truncated,
    /// The input was no TLS or was rejected: no further input is processed.
    Failed,
}

impl TlsStream {
    /// Starts a server connection. `first` is what has arrived of the `ClientHello`.
    pub fn new(socket: Socket, server: &TlsServer, first: &[u8]) -> io::Result<Self> {
        let tls =
            UnbufferedServerConnection::new(server.config_for(first)).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            tls,
            unprocessed: Vec::new(),
            plaintext: Vec::new(),
            out: Vec::new(),
            unreported_bytes: 0,
            holds_output: false,
            is_last_write_next: false,
            input: InputState::Open,
            close_notify_queued: false,
            requires_close_notify: server.requires_close_notify,
            server_name: None,
            client_verifier: server.client_verifier.clone(),
            verdict: ClientVerdict::NotRequested,
        })
    }

    /// Continues the handshake until both sides are done. `first` has the bytes read so far.
    pub fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        server: &TlsServer,
        first: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        if !first.is_empty() {
            let mut first = std::mem::take(first);
            let result = self.process_handshake_input(server, &mut first);
            self.send_alert(cx, result)?;
        }
        loop {
            // After a TLS 1.3 handshake only a ticket is left to send. No client waits for it, so
            // it is sent with the first response.
            self.holds_output = !self.tls.is_handshaking()
                && self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
            if !self.holds_output {
                ready!(self.poll_flush_output(cx))?;
            }
            if !self.tls.is_handshaking() {
                return Poll::Ready(self.check_client());
            }
            if self.unprocessed.len() > MAX_HANDSHAKE_BYTES {
                return Poll::Ready(Err(io::Error::other("the handshake is too long")));
            }
            let result = self.socket.set().clone().with_scratch(SCRATCH_BYTES, |scratch| {
                let count = ready!(self.socket.poll_read(cx, &mut scratch[..MIN_TLS_READ_BYTES]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(self.process_handshake_input(server, &mut scratch[..count]))
            });
            let result = ready!(result);
            self.send_alert(cx, result)?;
        }
    }

    fn process_handshake_input(&mut self, server: &TlsServer, input: &mut [u8]) -> io::Result<()> {
        let result = self.process_input(input, &mut []);
        if let Some(name) = server.take_requested_name() {
            self.server_name = Some(name);
        }
        result.map(drop)
    }

    /// Verifies the client once the handshake is complete. rustls itself verifies only a client
    /// that sends a certificate in this handshake, and only if the server is not lenient.
    fn check_client(&mut self) -> io::Result<()> {
        let Some(client_verifier) = self.client_verifier.take() else { return Ok(()) };
        let chain = self.tls.peer_certificates();
        let is_judged = !self.is_resumed() && !client_verifier.is_lenient() && chain.is_some();
        self.verdict =
            if is_judged { ClientVerdict::Authorized } else { client_verifier.verify_chain(chain) };
        if client_verifier.admits(self.verdict) {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    /// After a failed step, sends the alert as far as the socket takes it at once.
    fn send_alert(&mut self, cx: &mut Context<'_>, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            let _ = self.poll_flush_output(cx);
        }
        result
    }

    /// Reads plaintext: `Ready(0)` is the end of input.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if !self.plaintext.is_empty() {
                return Poll::Ready(Ok(self.read_plaintext(buf)));
            }
            match self.input {
                InputState::Open => {}
                InputState::Truncated if self.requires_close_notify => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                InputState::Ended | InputState::Truncated => return Poll::Ready(Ok(0)),
                InputState::Failed => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            // A client that requests key updates without reading the replies must read first.
            if self.out.len() > MAX_PENDING_OUTPUT_BYTES {
                ready!(self.poll_flush_output(cx))?;
            }
            let count = ready!(self.socket.set().clone().with_scratch(SCRATCH_BYTES, |scratch| {
                let room = buf.len().clamp(MIN_TLS_READ_BYTES, scratch.len());
                let count = ready!(self.socket.poll_read(cx, &mut scratch[..room]))?;
                if count == 0 {
                    self.input = InputState::Truncated;
                    return Poll::Ready(Ok(0));
                }
                Poll::Ready(self.process_input(&mut scratch[..count], buf))
            }));
            // An alert is never held back.
            if !self.out.is_empty() && (!self.holds_output || count.is_err()) {
                // The next write or read sends the rest.
                let _ = self.poll_flush_output(cx)?;
            }
            match count {
                Ok(0) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn read_plaintext(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.plaintext.len());
        buf[..count].copy_from_slice(&self.plaintext[..count]);
        self.plaintext.drain(..count);
        if self.plaintext.is_empty() {
            self.plaintext = Vec::new();
        }
        count
    }

    /// Processes received bytes. Plaintext is copied to `buf`; what does not fit is kept.
    fn process_input(&mut self, input: &mut [u8], buf: &mut [u8]) -> io::Result<usize> {
        if self.unprocessed.is_empty() {
            let (taken, result) = self.process_records(input, buf);
            self.unprocessed.extend_from_slice(&input[taken..]);
            return result;
        }
        let mut all = std::mem::take(&mut self.unprocessed);
        all.extend_from_slice(input);
        let (taken, result) = self.process_records(&mut all, buf);
        if taken < all.len() {
            all.drain(..taken);
            self.unprocessed = all;
        }
        result
    }

    /// Passes input to rustls. Returns how many bytes of it are processed and how much plaintext is
    /// in `buf`.
    fn process_records(&mut self, input: &mut [u8], buf: &mut [u8]) -> (usize, io::Result<usize>) {
        let mut taken = 0;
        let mut written = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut input[taken..]);
            let (mut needs_input, mut failure) = (false, None);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let Ok(record) = record else { break };
                        discard += record.discard;
                        let fits = if self.plaintext.is_empty() { buf.len() - written } else { 0 };
                        let (now, later) = record.payload.split_at(fits.min(record.payload.len()));
                        buf[written..written + now.len()].copy_from_slice(now);
                        written += now.len();
                        self.plaintext.extend_from_slice(later);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode_data(&mut self.out, data),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.input = InputState::Ended,
                Ok(_) => needs_input = true,
                Err(error) => failure = Some(error),
            }
            taken += discard;
            if let Some(error) = failure {
                self.input = InputState::Failed;
                // The alert comes with a further call, after the reply that it follows. After an
                // alert, nothing more may be sent.
                while self.tls.wants_write() {
                    let UnbufferedStatus { state, .. } =
                        self.tls.process_tls_records(&mut input[taken..]);
                    let Ok(ConnectionState::EncodeTlsData(data)) = state else { break };
                    encode_data(&mut self.out, data);
                }
                return (input.len(), Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if needs_input {
                return (taken, Ok(written));
            }
        }
    }

    /// Writes plaintext. After `Pending`, pass the same bytes again: they are encrypted already.
    /// They are reported as written once the socket has taken them all, so that callers know what
    /// the client can receive.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unreported_bytes == 0 {
            if !std::mem::take(&mut self.holds_output) {
                ready!(self.poll_flush_output(cx))?;
            }
            self.unreported_bytes = self.encrypt(slices)?;
        }
        if !std::mem::take(&mut self.is_last_write_next) {
            ready!(self.poll_flush_output(cx))?;
        }
        Poll::Ready(Ok(std::mem::take(&mut self.unreported_bytes)))
    }

    /// Writes plaintext into the buffer: bytes are reported as written before the socket takes
    /// them.
    pub fn poll_write_buffered(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !std::mem::take(&mut self.holds_output) {
            ready!(self.poll_flush_output(cx))?;
        }
        let count = self.encrypt(slices)?;
        // The caller flushes, or writes again.
        let _ = self.poll_flush_output(cx)?;
        Poll::Ready(Ok(count))
    }

    /// Encrypts as much as fits one call into `out`. Returns how much that was.
    fn encrypt(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if let [one] = slices {
            return self.encrypt_slice(&one[..one.len().min(MAX_PLAINTEXT_BYTES)]);
        }
        // Head and body go in one record.
        self.socket.set().clone().with_scratch(SCRATCH_BYTES, |scratch| {
            let mut len = 0;
            for slice in slices {
                let count = slice.len().min(MAX_PLAINTEXT_BYTES - len);
                scratch[len..len + count].copy_from_slice(&slice[..count]);
                len += count;
            }
            self.encrypt_slice(&scratch[..len])
        })
    }

    fn encrypt_slice(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        if self.input == InputState::Failed || self.close_notify_queued {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.unprocessed);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let is_done =
            encode(&mut self.out, |room| traffic.encrypt(plaintext, room).map_err(required_space));
        if is_done { Ok(plaintext.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    /// Sends the encrypted bytes.
    pub fn poll_flush_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.holds_output = false;
        drain(&mut self.out, |bytes| self.socket.poll_write(cx, &[io::IoSlice::new(bytes)]))
    }

    /// Announces that the next write is the last: it is sent together with `close_notify`.
    pub fn mark_next_write_last(&mut self) {
        self.is_last_write_next = true;
    }

    /// Sends the held output, because no response follows. What the socket does not take waits for
    /// the next write.
    pub fn flush_held(&mut self) {
        if std::mem::take(&mut self.holds_output) {
            let socket = &self.socket;
            let _ =
                drain(&mut self.out, |bytes| match socket.try_write(&[io::IoSlice::new(bytes)]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    result => Poll::Ready(result),
                });
        }
    }

    /// Sends `close_notify`.
    pub fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.close_notify_queued, true)
            && self.input != InputState::Failed
        {
            let UnbufferedStatus { state, .. } =
                self.tls.process_tls_records(&mut self.unprocessed);
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
                encode(&mut self.out, |room| {
                    traffic.queue_close_notify(room).map_err(required_space)
                });
            }
        }
        self.socket.mark_next_write_last();
        self.poll_flush_output(cx)
    }

    /// The TCP socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The number of encrypted bytes that the socket has not taken.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// The host name that the client requested (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The result of verifying the client.
    pub fn client_verdict(&self) -> ClientVerdict {
        self.verdict
    }
}
