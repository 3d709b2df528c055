//! Buffers for the bytes of a TLS connection between rustls and the socket.

use std::io;
use std::task::Poll;

use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError};

use crate::buffers::sizes::MAX_RETAINED_TLS_BUFFER_BYTES;

/// Appends a handshake message, an alert or a key update.
pub(super) fn encode_data<Data>(out: &mut Vec<u8>, mut data: EncodeTlsData<'_, Data>) {
    encode(out, |room| match data.encode(room) {
        Ok(count) => Ok(count),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
}

/// Appends the bytes that `write` produces to `out`, and returns whether there were any. The first
/// call of `write` gets no space, to learn how much it needs.
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

/// The space that rustls needs, if the error is a lack of space.
pub(super) fn required_space(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Writes `out` to the socket, as much as it takes.
pub(super) fn drain(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<()>> {
    let mut sent = 0;
    let result = loop {
        if sent == out.len() {
            break Poll::Ready(Ok(()));
        }
        match write(&out[sent..]) {
            Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => sent += count,
            Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
            Poll::Pending => break Poll::Pending,
        }
    };
    if sent == out.len() {
        out.clear();
        if out.capacity() > MAX_RETAINED_TLS_BUFFER_BYTES {
            *out = Vec::new();
        }
    } else {
        out.drain(..sent);
    }
    result
}

/// The size of the scratch memory, in bytes: four full records with the overhead of TLS.
pub(super) const SCRATCH_BYTES: usize = 66_560;
