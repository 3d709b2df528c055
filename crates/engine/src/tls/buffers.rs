//! The bytes of a TLS connection between rustls and the socket.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::unbuffered::{EncodeError, EncodeTlsData};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// A message of a handshake, an alert or new keys.
pub(super) fn encode_data<Data>(out: &mut Vec<u8>, mut data: EncodeTlsData<'_, Data>) {
    encode(out, |room| match data.encode(room) {
        Ok(count) => Ok(count),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
}

/// Lets `write` put its bytes behind those in `out`: it is called with no room first, to learn how much it needs.
pub(super) fn encode(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let before = out.len();
    let needed = match write(&mut []) {
        Ok(_) => return true,
        Err(Some(needed)) => needed,
        Err(None) => return false,
    };
    out.resize(before + needed, 0);
    let written = write(&mut out[before..]).unwrap_or(0);
    out.truncate(before + written);
    written > 0
}

/// Reads what the socket has; 0 is its end.
pub(super) fn poll_socket(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    room: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buf = ReadBuf::new(room);
    Pin::new(socket).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
}

/// One buffer a thread for what is on its way: no connection needs it between two turns.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH_BYTES, 0);
        work(scratch)
    })
}

/// Four full records with what TLS adds to them.
const SCRATCH_BYTES: usize = 66_560;
