//! Passes descriptors between two processes over a socket pair. A request is text; a response is
//! four bytes, optionally with a descriptor. The requester blocks, since Node's `listen()` needs
//! its socket at once.

use std::io;
use std::mem::{MaybeUninit, zeroed};
#[cfg(not(target_os = "linux"))]
use std::os::fd::AsRawFd;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Buffer for one control message with one descriptor.
#[repr(C, align(8))]
struct ControlBuffer([u8; 32]);

/// Responds to the request `id`. Without a descriptor the response is a refusal.
pub(super) fn send_response(socket: RawFd, id: u32, fd: Option<RawFd>) -> io::Result<()> {
    let mut bytes = id.to_ne_bytes();
    let mut iovec = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = ControlBuffer([0; 32]);
    let mut message = message_header(&mut iovec);
    if let Some(fd) = fd {
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: both macros only compute sizes.
        let (space, length) = unsafe { (libc::CMSG_SPACE(FD_BYTES), libc::CMSG_LEN(FD_BYTES)) };
        message.msg_controllen = space as _;
        // SAFETY: the buffer is aligned and longer than the message. Each part of the message is
        // written before it is read.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        }
    }
    // SAFETY: everything that the message points to outlives the call.
    let sent = unsafe { libc::sendmsg(socket, &raw const message, SEND_FLAGS) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
    // SAFETY: the bytes outlive the call. A request is short, so the socket pair accepts all of it
    // or nothing, and never a part that would be an invalid request.
    let sent = unsafe { libc::send(socket, request.as_ptr().cast(), request.len(), SEND_FLAGS) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
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

/// Receives one response. Its descriptor is close-on-exec.
fn receive(socket: RawFd) -> io::Result<(u32, Option<OwnedFd>)> {
    let mut bytes = [0; size_of::<u32>()];
    let mut iovec = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = ControlBuffer([0; 32]);
    let mut message = message_header(&mut iovec);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: everything that the message points to outlives the call.
    let received = unsafe { libc::recvmsg(socket, &raw mut message, RECEIVE_FLAGS | CLOEXEC_FLAG) };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has filled in the control message, if there is one.
    let fd = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let has_descriptor = !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS;
        has_descriptor
            .then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    };
    #[cfg(not(target_os = "linux"))]
    if let Some(fd) = &fd {
        close_on_exec(fd)?;
    }
    if received as usize != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((u32::from_ne_bytes(bytes), fd))
}

#[cfg(not(target_os = "linux"))]
fn close_on_exec(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: the call takes no pointers, and the descriptor is open.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn message_header(iovec: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: `msghdr` is plain data and valid when zeroed; some systems have private padding in
    // it.
    let mut message: libc::msghdr = unsafe { MaybeUninit::new(zeroed()).assume_init() };
    message.msg_iov = iovec;
    message.msg_iovlen = 1;
    message
}

const FD_BYTES: u32 = size_of::<RawFd>() as u32;

/// Flags for sending without SIGPIPE and without blocking.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
/// Flags for sending without blocking. macOS has no MSG_NOSIGNAL, but Node ignores SIGPIPE.
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = libc::MSG_DONTWAIT;

const RECEIVE_FLAGS: i32 = libc::MSG_DONTWAIT;
/// Makes a received descriptor close-on-exec at once, so that no child started by another thread
/// inherits it. macOS has no such flag.
#[cfg(target_os = "linux")]
const CLOEXEC_FLAG: i32 = libc::MSG_CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOEXEC_FLAG: i32 = 0;

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
