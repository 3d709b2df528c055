//! Transfers connections between the workers of an arbiter, for session affinity.
//!
//! Each slot has a pair of connected unix sockets that keep message boundaries. The worker of the
//! slot reads one end, its inbox; every other worker may write to the other end. A message is one
//! connection: its descriptor, what is known of it, and the bytes that have been read from it and
//! not served. The arbiter keeps both ends, so no message is lost when a worker dies: it passes on
//! what is left in the inbox ([`TransferSockets::rescue`]).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

#[cfg(target_os = "linux")]
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use super::descriptor_message;
use crate::scoreboard::{Board, SessionHash, Sessions};
use crate::transport::listener::{AcceptedConnection, PeerAddr};

/// What a worker needs to transfer connections: descriptors that it has inherited.
#[derive(Debug)]
pub struct WorkerTransfers {
    /// Receives the connections that other workers transfer to this one.
    pub inbox: RawFd,
    /// Where to send connections for each slot, in order.
    pub outboxes: Vec<RawFd>,
}

/// The sockets of all slots, which the arbiter holds.
pub struct TransferSockets {
    pairs: Vec<Pair>,
}

struct Pair {
    inbox: OwnedFd,
    outbox: OwnedFd,
}

/// What a worker knows of a connection that it transfers.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// The session that the next request of the connection belongs to.
    pub session: SessionHash,
    /// Client and destination addresses of a PROXY protocol header.
    pub proxied: Option<(SocketAddr, SocketAddr)>,
    /// How many requests have been served on the connection.
    pub requests: u32,
    /// The bytes that have been read from the connection and not served, from the start of a
    /// request head on. Empty if nothing has been read.
    pub unread: Vec<u8>,
}

impl TransferSockets {
    /// Creates a pair of sockets for each slot.
    ///
    /// # Errors
    ///
    /// When the system has no such sockets (only Linux has), or no descriptors are left.
    pub fn create(slots: u32) -> io::Result<Self> {
        let pairs = (0..slots).map(|_| create_pair()).collect::<io::Result<_>>()?;
        Ok(Self { pairs })
    }

    /// The descriptors of the inboxes, in the order of the slots.
    pub fn inboxes(&self) -> impl Iterator<Item = RawFd> {
        self.pairs.iter().map(|pair| pair.inbox.as_raw_fd())
    }

    /// The descriptors that reach these inboxes.
    pub fn outboxes(&self) -> impl Iterator<Item = RawFd> {
        self.pairs.iter().map(|pair| pair.outbox.as_raw_fd())
    }

    /// Passes the connections in the inboxes of workers that no longer exist to the present owners
    /// of their sessions. Without such an owner, a connection is closed.
    pub fn rescue(&self, board: &Board) {
        let mut buffer = Vec::new();
        for (index, pair) in self.pairs.iter().enumerate() {
            if board.cells().get(index).is_none_or(|cells| cells.is_taken()) {
                continue;
            }
            while let Ok(Some((fd, message))) = receive_message(&pair.inbox, &mut buffer) {
                let Some((session, _)) = read_session(message) else { continue };
                let target =
                    Sessions::of(board).owner_of(session).and_then(|slot| self.pairs.get(slot));
                if let (Some(target), Some(fd)) = (target, fd) {
                    // A full inbox closes the connection: its worker does not read any more.
                    let _ = descriptor_message::send(&target.outbox, message, Some(fd.as_fd()));
                }
            }
        }
    }
}

/// Sends a connection to the worker with this outbox. The caller closes its own copy of the
/// descriptor.
///
/// # Errors
///
/// When the inbox is full, or more bytes are unread than a message can have.
pub(crate) fn send(
    outbox: BorrowedFd<'_>,
    connection: BorrowedFd<'_>,
    (server_id, is_tls, peer): (u32, bool, PeerAddr),
    transfer: &Transfer,
) -> io::Result<()> {
    let Transfer { session, proxied, requests, unread } = transfer;
    let (client, local) = match proxied {
        Some((client, local)) => (client.to_string(), local.to_string()),
        None => (NONE.to_owned(), NONE.to_owned()),
    };
    let peer = match peer {
        PeerAddr::Ip(address) => address.to_string(),
        PeerAddr::Unix => NONE.to_owned(),
    };
    let (session, is_tls) = (session.number(), u8::from(is_tls));
    let line = format!("{session:x} {server_id} {is_tls} {peer} {client} {local} {requests}\n");
    let message = [line.as_bytes(), unread].concat();
    descriptor_message::send(outbox, &message, Some(connection))
}

/// Receives a connection from an inbox; `None` if it is empty.
///
/// # Errors
///
/// When a message is no connection: only another program could have written it.
pub(crate) fn receive(
    inbox: &OwnedFd,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<AcceptedConnection>> {
    let Some((fd, message)) = receive_message(inbox, buffer)? else { return Ok(None) };
    let connection = fd.and_then(|fd| parse(fd, message));
    connection.map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(fd: OwnedFd, message: &[u8]) -> Option<AcceptedConnection> {
    let (session, line) = read_session(message)?;
    let unread = message[line.len() + 1..].to_vec();
    let mut words = line.split(' ').skip(1);
    let server_id = words.next()?.parse().ok()?;
    let is_tls = words.next()? == "1";
    let mut next_address = || match words.next()? {
        NONE => Some(None),
        text => text.parse::<SocketAddr>().ok().map(Some),
    };
    let peer = next_address()?.map_or(PeerAddr::Unix, PeerAddr::Ip);
    let proxied = next_address()?.zip(next_address()?);
    let requests = words.next()?.parse().ok()?;
    let transfer = Some(Box::new(Transfer { session, proxied, requests, unread }));
    Some(AcceptedConnection { fd, server_id, is_tls, peer, transfer })
}

/// Returns the session of a message and its first line, which has what is known of the connection.
fn read_session(message: &[u8]) -> Option<(SessionHash, &str)> {
    let end = memchr::memchr(b'\n', message)?;
    let line = str::from_utf8(&message[..end]).ok()?;
    let number = u64::from_str_radix(line.split(' ').next()?, 16).ok()?;
    Some((SessionHash::from_number(number), line))
}

/// Takes one message from an inbox: its descriptor and its bytes, which `buffer` holds.
fn receive_message<'a>(
    inbox: &OwnedFd,
    buffer: &'a mut Vec<u8>,
) -> io::Result<Option<(Option<OwnedFd>, &'a [u8])>> {
    buffer.resize(MAX_MESSAGE, 0);
    match descriptor_message::receive(inbox, buffer) {
        Ok((count, fd)) => Ok(Some((fd, &buffer[..count]))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn create_pair() -> io::Result<Pair> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (inbox, outbox) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // The system takes less if its own maximum is smaller.
    sockopt::set_socket_send_buffer_size(&outbox, MAX_MESSAGE)?;
    Ok(Pair { inbox, outbox })
}

/// Other systems limit a message to two kilobytes or have no such sockets.
#[cfg(not(target_os = "linux"))]
fn create_pair() -> io::Result<Pair> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The text for an address that does not exist.
const NONE: &str = "-";
/// Maximum number of bytes in a message: more than the longest head and what is read ahead of it.
const MAX_MESSAGE: usize = 512 * 1_024;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::scoreboard::WorkerState;

    fn transfer(session: SessionHash) -> Transfer {
        let address = |text: &str| text.parse().unwrap();
        Transfer {
            session,
            proxied: Some((address("[fe80::1%2]:80"), address("10.0.0.1:443"))),
            requests: 3,
            unread: b"GET /?sid=\xff HTTP/1.1\r\n\r\n\0rest\n".to_vec(),
        }
    }

    fn send_to(sockets: &TransferSockets, slot: usize, transfer: &Transfer) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let peer = PeerAddr::Ip("127.0.0.1:7".parse().unwrap());
        let outbox = sockets.pairs[slot].outbox.as_fd();
        send(outbox, theirs.as_fd(), (5, true, peer), transfer).unwrap();
        ours
    }

    #[test]
    fn a_connection_arrives_with_all_that_is_known_of_it() {
        let sockets = TransferSockets::create(2).unwrap();
        let sent = transfer(SessionHash::from_number(u64::MAX));
        let client = send_to(&sockets, 1, &sent);
        let mut buffer = Vec::new();
        assert!(receive(&sockets.pairs[0].inbox, &mut buffer).unwrap().is_none());
        let one = receive(&sockets.pairs[1].inbox, &mut buffer).unwrap().unwrap();
        assert_eq!((one.server_id, one.is_tls), (5, true));
        assert_eq!(one.peer, PeerAddr::Ip("127.0.0.1:7".parse().unwrap()));
        assert_eq!(one.transfer.as_deref(), Some(&sent));
        UnixStream::from(one.fd).write_all(b"x").unwrap();
        assert_eq!(std::io::Read::bytes(&client).next().unwrap().unwrap(), b'x');
    }

    #[test]
    fn a_long_head_arrives_whole_and_one_beyond_the_limit_is_an_error() {
        let sockets = TransferSockets::create(1).unwrap();
        let session = SessionHash::from_number(1);
        let mut sent = Transfer { unread: vec![b'x'; 150_000], ..transfer(session) };
        let _client = send_to(&sockets, 0, &sent);
        let one = receive(&sockets.pairs[0].inbox, &mut Vec::new()).unwrap().unwrap();
        assert_eq!(one.transfer.unwrap().unread.len(), 150_000);
        sent.unread = vec![b'x'; 2 * MAX_MESSAGE];
        let outbox = sockets.pairs[0].outbox.as_fd();
        let failed = send(outbox, one.fd.as_fd(), (0, false, PeerAddr::Unix), &sent).unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn the_connections_of_a_dead_worker_go_to_a_living_one() {
        let board = Board::create(2).unwrap();
        let sockets = TransferSockets::create(2).unwrap();
        for slot in [1, 2] {
            board.claim(slot, slot).unwrap();
            board.slot(slot).unwrap().set_state(WorkerState::Accepting);
        }
        let _client = send_to(&sockets, 0, &transfer(Sessions::of(&board).hash(b"key")));
        sockets.rescue(&board);
        let mut buffer = Vec::new();
        let inbox = &sockets.pairs[1].inbox;
        assert!(receive(inbox, &mut buffer).unwrap().is_none(), "its worker still lives");
        board.release(1).unwrap();
        sockets.rescue(&board);
        assert!(receive(inbox, &mut buffer).unwrap().is_some());
        let client = send_to(&sockets, 1, &transfer(Sessions::of(&board).hash(b"key")));
        board.release(2).unwrap();
        sockets.rescue(&board);
        let end = std::io::Read::bytes(&client).next();
        assert!(end.is_none(), "no worker is left to serve it");
    }

    #[test]
    fn a_message_that_is_no_connection_is_an_error() {
        let sockets = TransferSockets::create(1).unwrap();
        let (ours, _) = UnixStream::pair().unwrap();
        let outbox = sockets.pairs[0].outbox.as_fd();
        for text in [&b"\n"[..], b"zz 0 0 - - - 0\n", b"1 0 0 - - -\n", b"1 0 0 1.2 - - 0\n"] {
            descriptor_message::send(outbox, text, Some(ours.as_fd())).unwrap();
            assert!(receive(&sockets.pairs[0].inbox, &mut Vec::new()).is_err(), "{text:?}");
        }
    }
}
