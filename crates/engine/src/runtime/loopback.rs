//! The send buffer towards clients on this machine, such as a proxy.

use std::os::fd::AsFd;

use socket2::SockRef;

use crate::buffers::sizes::MAX_LOOPBACK_SEND_BUFFER_BYTES;

/// Bounds the send buffer of a socket whose client is on this machine: the buffer that the system
/// would grow drops out of the processor's cache before the client reads it. A remote client needs
/// the buffer that the system chooses.
pub(super) fn bound_send_buffer(fd: &impl AsFd) {
    let socket = SockRef::from(fd);
    let is_large =
        socket.send_buffer_size().is_ok_and(|size| size > MAX_LOOPBACK_SEND_BUFFER_BYTES);
    let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
    if is_large && peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        // Linux doubles the value, to account for its own bookkeeping. If the system refuses, the
        // buffer stays as it is.
        let _ = socket.set_send_buffer_size(MAX_LOOPBACK_SEND_BUFFER_BYTES / 2);
    }
}
