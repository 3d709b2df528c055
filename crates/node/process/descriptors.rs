//! Descriptors from one process to another, over a socket pair of the two: a question as text, an answer of four bytes
//! that may bring a descriptor with it. Whoever asks waits, since node's `listen()` wants its socket at once.

use std::io;
use std::mem::{MaybeUninit, zeroed};
#[cfg(not(target_os = "linux"))]
use std::os::fd::AsRawFd;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Room for one control message with one descriptor.
#[repr(C, align(8))]
struct ControlBuffer([u8; 32]);

/// Answers the question `id`; without a descriptor it is a no.
pub(super) fn respond(socket: RawFd, id: u32, fd: Option<RawFd>) -> io::Result<()> {
    let mut bytes = id.to_ne_bytes();
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = ControlBuffer([0; 32]);
    let mut message = empty(&mut part);
    if let Some(fd) = fd {
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: plain arithmetic.
        let (space, length) = unsafe { (libc::CMSG_SPACE(FD_BYTES), libc::CMSG_LEN(FD_BYTES)) };
        message.msg_controllen = space as _;
        // SAFETY: the room is aligned and longer than the message, whose parts are written before anybody reads them.
        unsafe {
            let head = libc::CMSG_FIRSTHDR(&raw const message);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = length as _;
            libc::CMSG_DATA(head).cast::<RawFd>().write_unaligned(fd);
        }
    }
    // SAFETY: everything that the message points to lives until the call is over.
    let sent = unsafe { libc::sendmsg(socket, &raw const message, SEND_FLAGS) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks, and waits for the answer to the question `id`: answers to earlier ones, that came too late, are dropped.
pub(super) fn request(
    socket: RawFd,
    question: &str,
    id: u32,
    limit: Duration,
) -> io::Result<Option<OwnedFd>> {
    let end = Instant::now() + limit;
    // SAFETY: the bytes live until the call is over. A question is short, and the pair's buffer has room for it or for
    // nothing of it: what is left of a part would be no question.
    let sent = unsafe { libc::send(socket, question.as_ptr().cast(), question.len(), SEND_FLAGS) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    loop {
        wait(socket, end)?;
        let (response_id, fd) = receive(socket)?;
        if response_id == id {
            return Ok(fd);
        }
    }
}

fn wait(socket: RawFd, end: Instant) -> io::Result<()> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: one live entry.
        let ready = unsafe { libc::poll(&raw mut poll, 1, left.as_millis() as i32) };
        match ready {
            0 => return Err(io::ErrorKind::TimedOut.into()),
            1.. => return Ok(()),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// One answer; its descriptor is closed on exec.
fn receive(socket: RawFd) -> io::Result<(u32, Option<OwnedFd>)> {
    let mut bytes = [0; size_of::<u32>()];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = ControlBuffer([0; 32]);
    let mut message = empty(&mut part);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: everything that the message points to lives until the call is over.
    let received = unsafe { libc::recvmsg(socket, &raw mut message, RECEIVE_FLAGS | CLOEXEC_FLAG) };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has filled the control message, if there is one.
    let fd = unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        let has = !head.is_null() && (*head).cmsg_type == libc::SCM_RIGHTS;
        has.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(head).cast::<RawFd>().read_unaligned()))
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
    // SAFETY: no pointers, and the descriptor is open.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn empty(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: plain data, valid when zeroed; on some systems it has private padding.
    let mut message: libc::msghdr = unsafe { MaybeUninit::new(zeroed()).assume_init() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

const FD_BYTES: u32 = size_of::<RawFd>() as u32;

/// Without the signal of a broken pipe, and without waiting.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
/// Node ignores the signal of a broken pipe.
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = libc::MSG_DONTWAIT;

const RECEIVE_FLAGS: i32 = libc::MSG_DONTWAIT;
/// At once, so that no child of another thread inherits it; macOS has no such flag.
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
    fn a_question_is_answered_with_a_descriptor_of_the_same_file() {
        let (asker, mut giver) = UnixStream::pair().unwrap();
        let (reader, writer) = UnixStream::pair().unwrap();
        let answering = thread::spawn(move || {
            let mut question = [0; 6];
            giver.read_exact(&mut question).unwrap();
            // An answer that somebody has given up to wait for.
            respond(giver.as_raw_fd(), 6, Some(reader.as_raw_fd())).unwrap();
            respond(giver.as_raw_fd(), 7, Some(reader.as_raw_fd())).unwrap();
            question
        });
        let fd = request(asker.as_raw_fd(), "listen", 7, LIMIT).unwrap().unwrap();
        assert_eq!(&answering.join().unwrap(), b"listen");
        io::Write::write_all(&mut &writer, b"x").unwrap();
        let mut byte = [0];
        UnixStream::from(fd).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn no_descriptor_is_a_no_and_silence_has_a_limit() {
        let (asker, giver) = UnixStream::pair().unwrap();
        respond(giver.as_raw_fd(), 1, None).unwrap();
        assert!(request(asker.as_raw_fd(), "?", 1, LIMIT).unwrap().is_none());
        let error = request(asker.as_raw_fd(), "?", 2, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(giver);
        assert!(request(asker.as_raw_fd(), "?", 3, LIMIT).is_err());
    }
}
