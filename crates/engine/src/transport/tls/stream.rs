//! The records of one TLS connection: rustls decides, this carries the bytes. It is rustls' unbuffered connection, so that
//! what is kept between two turns is ours to say: nothing, unless a record has come in part or the socket is full.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus};
use rustls::{HandshakeKind, ProtocolVersion};

use super::buffers::{drain, encode, encode_data, with_scratch};
use super::clients::{ClientVerdict, ClientVerifier};
use super::{TlsServer, sni};
use crate::runtime::sockets::Socket;

/// A TCP connection that speaks TLS, from the first byte of its handshake on.
pub(crate) struct TlsStream {
    socket: Socket,
    pub(super) tls: UnbufferedServerConnection,
    /// Received and not yet a whole record, or a handshake message in several.
    unprocessed: Vec<u8>,
    /// Decrypted and not yet read.
    plaintext: Vec<u8>,
    /// Encrypted and not yet taken by the socket.
    out: Vec<u8>,
    /// Plaintext that `poll_send` has encrypted and not yet reported as written.
    unreported_bytes: usize,
    /// What is in `out` goes with what follows, and not before.
    holds_output: bool,
    is_last_write_next: bool,
    input: InputState,
    /// Our `close_notify` is in `out` or sent.
    closed: bool,
    /// The end of input without a `close_notify` is an error and no end.
    requires_close_notify: bool,
    /// The name that the client asked for.
    server_name: Option<Box<str>>,
    /// Who judges the client, if it is asked for a certificate.
    client_verifier: Option<Arc<ClientVerifier>>,
    verdict: ClientVerdict,
}

/// What is known of the client's side.
#[derive(Clone, Copy, Eq, PartialEq)]
enum InputState {
    /// More may come.
    Open,
    /// The client has said that nothing more comes.
    Ended,
    /// The socket has ended without that.
    Truncated,
    /// What came was no TLS, or was refused: nothing behind it is looked at.
    Failed,
}

impl TlsStream {
    /// `first` is what has come of the client's hello.
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
            closed: false,
            requires_close_notify: server.requires_close_notify,
            server_name: None,
            client_verifier: server.client_verifier.clone(),
            verdict: ClientVerdict::NotRequested,
        })
    }

    /// Goes on with the handshake until it is complete, on both sides. `first` is what has been read of it before.
    pub fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        first: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        if !first.is_empty() {
            let mut first = std::mem::take(first);
            let result = self.take_handshake(&mut first);
            self.after_step(cx, result)?;
        }
        loop {
            // What TLS 1.3 has to say then is a ticket, for which nobody waits: it goes with the first answer.
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
            let result = with_scratch(|scratch| {
                let count = ready!(self.socket.poll_read(cx, &mut scratch[..MIN_READ_BYTES]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(self.take_handshake(&mut scratch[..count]))
            });
            let result = ready!(result);
            self.after_step(cx, result)?;
        }
    }

    fn take_handshake(&mut self, input: &mut [u8]) -> io::Result<()> {
        sni::forget_server_name();
        let result = self.take_in(input, &mut []);
        if let Some(name) = sni::server_name() {
            self.server_name = Some(name);
        }
        result.map(drop)
    }

    /// Once the handshake is complete. rustls judges only those that show a certificate now, and only by the requires_close_notify rule.
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

    /// An alert that says what was wrong goes out as far as the socket takes it at once.
    fn after_step(&mut self, cx: &mut Context<'_>, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            let _ = self.poll_flush_output(cx);
        }
        result
    }

    /// Reads plaintext: `Ready(0)` is the end of input.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if !self.plaintext.is_empty() {
                return Poll::Ready(Ok(self.take_plain(buf)));
            }
            match self.input {
                InputState::Open => {}
                InputState::Truncated if self.requires_close_notify => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                InputState::Ended | InputState::Truncated => return Poll::Ready(Ok(0)),
                InputState::Failed => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            // Whoever asks for new keys without reading the answers has to read first.
            if self.out.len() > MAX_PENDING_OUTPUT_BYTES {
                ready!(self.poll_flush_output(cx))?;
            }
            let count = ready!(with_scratch(|scratch| {
                let room = buf.len().clamp(MIN_READ_BYTES, scratch.len());
                let count = ready!(self.socket.poll_read(cx, &mut scratch[..room]))?;
                if count == 0 {
                    self.input = InputState::Truncated;
                    return Poll::Ready(Ok(0));
                }
                Poll::Ready(self.take_in(&mut scratch[..count], buf))
            }));
            // An alert waits for nothing.
            if !self.out.is_empty() && (!self.holds_output || count.is_err()) {
                // What is left is sent by the next write or the next read.
                let _ = self.poll_flush_output(cx)?;
            }
            match count {
                Ok(0) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn take_plain(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.plaintext.len());
        buf[..count].copy_from_slice(&self.plaintext[..count]);
        self.plaintext.drain(..count);
        if self.plaintext.is_empty() {
            self.plaintext = Vec::new();
        }
        count
    }

    /// Takes what has been received. Plaintext goes to `buf`, and what has no room there is kept.
    fn take_in(&mut self, input: &mut [u8], buf: &mut [u8]) -> io::Result<usize> {
        if self.unprocessed.is_empty() {
            let (taken, result) = self.advance(input, buf);
            self.unprocessed.extend_from_slice(&input[taken..]);
            return result;
        }
        let mut all = std::mem::take(&mut self.unprocessed);
        all.extend_from_slice(input);
        let (taken, result) = self.advance(&mut all, buf);
        if taken < all.len() {
            all.drain(..taken);
            self.unprocessed = all;
        }
        result
    }

    /// Lets rustls work through the input, and says how much of it is done with and how much plaintext is in `buf`.
    fn advance(&mut self, input: &mut [u8], buf: &mut [u8]) -> (usize, io::Result<usize>) {
        let mut taken = 0;
        let mut written = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut input[taken..]);
            let (mut is_over, mut failure) = (false, None);
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
                Ok(_) => is_over = true,
                Err(error) => failure = Some(error),
            }
            taken += discard;
            if let Some(error) = failure {
                self.input = InputState::Failed;
                // The alert that says so comes by another call, behind what it is an alert to; after it none is allowed.
                while self.tls.wants_write() {
                    let UnbufferedStatus { state, .. } =
                        self.tls.process_tls_records(&mut input[taken..]);
                    let Ok(ConnectionState::EncodeTlsData(data)) = state else { break };
                    encode_data(&mut self.out, data);
                }
                return (input.len(), Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if is_over {
                return (taken, Ok(written));
            }
        }
    }

    /// Writes plaintext. After `Pending` the same bytes must be given again: they are encrypted already, and are reported
    /// as written when the socket has taken all of them, so that whoever waits to send knows what the client has.
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

    /// Writes plaintext: what is taken is held here until the socket takes it.
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

    /// Encrypts as much as goes at once into `out`, and says how much that was.
    fn encrypt(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if let [one] = slices {
            return self.encrypt_slice(&one[..one.len().min(MAX_PLAINTEXT_BYTES)]);
        }
        // Head and body in one record.
        with_scratch(|scratch| {
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
        if self.input == InputState::Failed || self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.unprocessed);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let is_done =
            encode(&mut self.out, |room| traffic.encrypt(plaintext, room).map_err(room_needed));
        if is_done { Ok(plaintext.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    /// Sends what is encrypted.
    pub fn poll_flush_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.holds_output = false;
        drain(&mut self.out, |bytes| self.socket.poll_write(cx, &[io::IoSlice::new(bytes)]))
    }

    /// What is written next is the last: it goes with the end.
    pub fn mark_next_write_last(&mut self) {
        self.is_last_write_next = true;
    }

    /// Sends what was to go with an answer, as none comes; what the socket does not take waits for one all the same.
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

    /// Says that nothing more comes.
    pub fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closed, true) && self.input != InputState::Failed {
            let UnbufferedStatus { state, .. } =
                self.tls.process_tls_records(&mut self.unprocessed);
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
                encode(&mut self.out, |room| traffic.queue_close_notify(room).map_err(room_needed));
            }
        }
        self.socket.mark_next_write_last();
        self.poll_flush_output(cx)
    }

    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Encrypted bytes that the socket has not taken.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// The protocol that client and server have agreed on, if the client offered any.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// The name that the client asked for.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The session was one from before.
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn client_verdict(&self) -> ClientVerdict {
        self.verdict
    }
}

/// What rustls lacks of room, if it is that.
fn room_needed(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// A read has room for at least so much: a smaller one would be many for a record.
const MIN_READ_BYTES: usize = 16_384;
/// Plaintext that is encrypted at once: three records, which end in the middle of a packet of the loopback (see `out.rs`).
const MAX_PLAINTEXT_BYTES: usize = 49_152;
/// The most that a handshake may have in the air: rustls takes messages of up to 64 KiB.
const MAX_HANDSHAKE_BYTES: usize = 81_920;
/// What may wait for the socket before nothing more is read.
const MAX_PENDING_OUTPUT_BYTES: usize = 65_536;
