//! Passes descriptors between two processes over a socket pair. A request is text; a response is
//! four bytes, optionally with a descriptor. The requester blocks, since Node's `listen()` needs
//! its socket at once.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use monoceros_engine::transport::descriptor_message;

/// Responds to the request `id`. Without a descriptor the response is a refusal.
pub(super) fn send_response(socket: RawFd, id: u32, fd: Option<RawFd>) -> io::Result<()> {
    let fd = fd.map(borrow).transpose()?;
    descriptor_message::send(borrow(socket)?, &id.to_ne_bytes(), fd)
}

/// Sends a request and waits for the response with this `id`. Late responses to earlier requests
/// are dropped.
pub(super) fn request_descriptor(
    socket: RawFd,
    request: &str,
    id: u32,
    limit: Duration,
) -> io::Result<Option<OwnedFd>> {
    let deadline = Instant::now() + limit;
    // A request is short, so the socket pair accepts all of it or nothing, and never a part that
    // would be an invalid request.
    descriptor_message::send(borrow(socket)?, request.as_bytes(), None)?;
    loop {
        wait_until_readable(socket, deadline)?;
        let (response_id, fd) = receive(socket)?;
        if response_id == id {
            return Ok(fd);
        }
    }
}

fn wait_until_readable(socket: RawFd, deadline: Instant) -> io::Result<()> {
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer refers to one live entry.
        let ready = unsafe { libc::poll(&raw mut poll, 1, remaining.as_millis() as i32) };
        match ready {
            0 => return Err(io::ErrorKind::TimedOut.into()),
            1.. => return Ok(()),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// Receives one response.
fn receive(socket: RawFd) -> io::Result<(u32, Option<OwnedFd>)> {
    let mut bytes = [0; size_of::<u32>()];
    let (count, fd) = descriptor_message::receive(borrow(socket)?, &mut bytes)?;
    if count != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((u32::from_ne_bytes(bytes), fd))
}

/// A closed socket of Node has the number -1.
fn borrow<'a>(fd: RawFd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: JavaScript keeps its descriptors open during the call, and the number is not -1.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    #[cfg(target_os = "linux")]
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_response_carries_a_descriptor_of_the_same_file() {
        let (requester, mut responder) = UnixStream::pair().unwrap();
        let (reader, writer) = UnixStream::pair().unwrap();
        let response_thread = thread::spawn(move || {
            let mut request = [0; 6];
            responder.read_exact(&mut request).unwrap();
            // A late response to a request that has timed out.
            send_response(responder.as_raw_fd(), 6, Some(reader.as_raw_fd())).unwrap();
            send_response(responder.as_raw_fd(), 7, Some(reader.as_raw_fd())).unwrap();
            request
        });
        let fd = request_descriptor(requester.as_raw_fd(), "listen", 7, LIMIT).unwrap().unwrap();
        assert_eq!(&response_thread.join().unwrap(), b"listen");
        io::Write::write_all(&mut &writer, b"x").unwrap();
        let mut byte = [0];
        UnixStream::from(fd).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_refusal_has_no_descriptor_and_silence_times_out() {
        let (requester, responder) = UnixStream::pair().unwrap();
        send_response(responder.as_raw_fd(), 1, None).unwrap();
        assert!(request_descriptor(requester.as_raw_fd(), "?", 1, LIMIT).unwrap().is_none());
        let error = request_descriptor(requester.as_raw_fd(), "?", 2, Duration::from_millis(1))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(responder);
        assert!(request_descriptor(requester.as_raw_fd(), "?", 3, LIMIT).is_err());
    }
}
