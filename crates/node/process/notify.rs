//! Messages to the notification socket of systemd: one datagram per message, `sd_notify(3)`.

use std::io;
use std::os::unix::net::UnixDatagram;

/// Sends a message to the Unix socket at `socket`. A leading `@` means an abstract name.
pub(super) fn send_message(socket: &str, message: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    match socket.strip_prefix('@') {
        None => sender.send_to(message.as_bytes(), socket).map(drop),
        Some(name) => send_abstract(&sender, name, message),
    }
}

#[cfg(target_os = "linux")]
fn send_abstract(sender: &UnixDatagram, name: &str, message: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let address = SocketAddr::from_abstract_name(name)?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(not(target_os = "linux"))]
fn send_abstract(_: &UnixDatagram, _: &str, _: &str) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
