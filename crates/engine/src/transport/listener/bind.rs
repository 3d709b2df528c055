//! Creates listening sockets and takes over inherited ones.

#![expect(unsafe_code, reason = "borrowing descriptors that are only known by number")]

use std::io;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, SockAddr, Socket, Type};

/// The local address of a socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LocalAddress {
    /// A TCP address.
    Ip(SocketAddr),
    /// A path, or `\0` and a name for an abstract address; empty for an unnamed socket.
    Unix(Vec<u8>),
}

/// The options of a TCP listener.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// The length of the kernel's queue, which the kernel limits (net.core.somaxconn).
    pub backlog: u32,
    /// Allows other sockets to bind the same address (`SO_REUSEPORT`); the kernel then distributes
    /// connections by hash.
    pub reuse_port: bool,
    /// Accepts no IPv4 connections on a socket bound to an IPv6 address (`IPV6_V6ONLY`).
    pub ipv6_only: bool,
}

/// Binds a TCP address and listens. A host name resolves to its first IPv4 address, or else to its
/// first address: users expect `localhost` to mean 127.0.0.1.
///
/// # Errors
///
/// The errors of the system calls; `NotFound` without an errno when a name has no address.
pub fn bind_tcp(host: &str, port: u16, options: TcpOptions) -> io::Result<OwnedFd> {
    let address = match host.parse::<IpAddr>().ok() {
        Some(ip) => SocketAddr::new(ip, port),
        None => {
            let found: Vec<SocketAddr> = (host, port)
                .to_socket_addrs()
                .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?
                .collect();
            let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
            *first.ok_or(io::ErrorKind::AddrNotAvailable)?
        }
    };
    // `Socket::new` sets CLOEXEC.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    prepare(&socket, true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog(options.backlog))?;
    Ok(socket.into())
}

/// Binds a unix socket and listens. A path that starts with a zero byte is an abstract address. The
/// file has the mode 0777 without the bits of the process's umask. An existing file is not removed:
/// only the caller knows whether it may be.
///
/// # Errors
///
/// The errors of the system calls, or an error when the path is too long for an address.
pub fn bind_unix(path: &[u8], listen_backlog: u32) -> io::Result<OwnedFd> {
    use std::os::unix::ffi::OsStrExt;

    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    prepare(&socket, false)?;
    // `SockAddr::unix` supports abstract addresses and rejects paths that are too long.
    socket.bind(&SockAddr::unix(std::ffi::OsStr::from_bytes(path))?)?;
    socket.listen(backlog(listen_backlog))?;
    Ok(socket.into())
}

/// Configures an inherited stream socket like those bound here, and makes it listen. A socket that
/// already listens keeps its queue.
///
/// # Errors
///
/// EBADF, ENOTSOCK or EPROTOTYPE when the descriptor is not a stream socket; otherwise the errors
/// of the system calls.
pub fn adopt_listener(fd: RawFd, listen_backlog: u32) -> io::Result<()> {
    let socket = borrow(fd)?;
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::from_raw_os_error(libc::EPROTOTYPE));
    }
    if !is_listening(&socket)? {
        socket.listen(backlog(listen_backlog))?;
    }
    socket.set_cloexec(true)?;
    prepare(&socket, matches!(local_address(fd)?, LocalAddress::Ip(_)))
}

/// Listens on a bound socket that its owner keeps, and returns a duplicate descriptor of it.
///
/// # Errors
///
/// The errors of the system calls.
pub fn listen_on(fd: RawFd, listen_backlog: u32) -> io::Result<OwnedFd> {
    let socket = borrow(fd)?.try_clone()?;
    socket.listen(backlog(listen_backlog))?;
    prepare(&socket, matches!(local_address(fd)?, LocalAddress::Ip(_)))?;
    Ok(socket.into())
}

/// The local address of a socket.
///
/// # Errors
///
/// EBADF or ENOTSOCK when it is no socket, EAFNOSUPPORT for other address families.
pub fn local_address(fd: RawFd) -> io::Result<LocalAddress> {
    use std::os::unix::ffi::OsStrExt;

    let address = borrow(fd)?.local_addr()?;
    if let Some(address) = address.as_socket() {
        return Ok(LocalAddress::Ip(address));
    }
    if !address.is_unix() {
        return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
    }
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_abstract_namespace() {
        return Ok(LocalAddress::Unix([b"\0", name].concat()));
    }
    let path = address.as_pathname().map(|path| path.as_os_str().as_bytes().to_vec());
    Ok(LocalAddress::Unix(path.unwrap_or_default()))
}

fn prepare(socket: &Socket, tcp: bool) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if tcp {
        // On Linux, accepted sockets inherit the option, which saves a call for each.
        socket.set_tcp_nodelay(true)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_listening(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Other systems cannot report it; listening again only sets the queue's length.
#[cfg(not(target_os = "linux"))]
fn is_listening(_socket: &Socket) -> io::Result<bool> {
    Ok(false)
}

fn backlog(wanted: u32) -> i32 {
    i32::try_from(wanted).unwrap_or(i32::MAX)
}

/// Borrows a descriptor as a socket that is not closed when it is dropped.
fn borrow(fd: RawFd) -> io::Result<ManuallyDrop<Socket>> {
    // SAFETY: `F_GETFD` takes no pointer, and it fails if the descriptor is not open.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, as just checked, so it is not negative. It is never closed
    // through this value.
    Ok(ManuallyDrop::new(unsafe { Socket::from_raw_fd(fd) }))
}

/// The number of connections in the queue of a listening TCP socket.
///
/// # Errors
///
/// When it is no TCP socket, or the system does not report it.
#[cfg(target_os = "linux")]
pub fn count_pending_connections(fd: RawFd) -> io::Result<u32> {
    // SAFETY: plain data, valid when zeroed.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: both pointers are to live values of our own, and `len` is the size of the first.
    let result = unsafe {
        let into = (&raw mut info).cast();
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut len)
    };
    // For a listening socket, this field is the length of the queue (tcp_get_info in the kernel).
    if result == 0 { Ok(info.tcpi_unacked) } else { Err(io::Error::last_os_error()) }
}

/// The number of connections in the queue of a listening TCP socket.
///
/// # Errors
///
/// Always: only Linux reports it.
#[cfg(not(target_os = "linux"))]
pub fn count_pending_connections(_: RawFd) -> io::Result<u32> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const OPTIONS: TcpOptions = TcpOptions { backlog: 16, reuse_port: false, ipv6_only: false };

    fn port_of(fd: &OwnedFd) -> u16 {
        match local_address(fd.as_raw_fd()).unwrap() {
            LocalAddress::Ip(address) => address.port(),
            LocalAddress::Unix(_) => panic!("not TCP"),
        }
    }

    #[test]
    fn a_bound_port_accepts_connections_and_is_taken() {
        let listener = bind_tcp("127.0.0.1", 0, OPTIONS).unwrap();
        let port = port_of(&listener);
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        let error = bind_tcp("127.0.0.1", port, OPTIONS).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    fn a_name_means_its_ipv4_address() {
        let listener = bind_tcp("localhost", 0, OPTIONS).unwrap();
        let LocalAddress::Ip(address) = local_address(listener.as_raw_fd()).unwrap() else {
            panic!("not TCP");
        };
        assert!(address.is_ipv4() && address.ip().is_loopback());
    }

    #[test]
    fn reuse_port_lets_two_sockets_bind_one_address() {
        let shared = TcpOptions { reuse_port: true, ..OPTIONS };
        let first = bind_tcp("127.0.0.1", 0, shared).unwrap();
        let second = bind_tcp("127.0.0.1", port_of(&first), shared).unwrap();
        assert_eq!(port_of(&first), port_of(&second));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_queue_length_counts_connections_not_accepted_yet() {
        let listener = bind_tcp("127.0.0.1", 0, OPTIONS).unwrap();
        let fd = listener.as_raw_fd();
        assert_eq!(count_pending_connections(fd).unwrap(), 0);
        let address = SocketAddr::from(([127, 0, 0, 1], port_of(&listener)));
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!(count_pending_connections(fd).unwrap(), 3);
        assert!(count_pending_connections(-1).is_err());
    }

    #[test]
    fn descriptors_are_closed_on_exec_and_do_not_block() {
        let listener = bind_tcp("127.0.0.1", 0, OPTIONS).unwrap();
        // SAFETY: no pointers, and the descriptor is open.
        let (flags, status) = unsafe {
            let fd = listener.as_raw_fd();
            (libc::fcntl(fd, libc::F_GETFD), libc::fcntl(fd, libc::F_GETFL))
        };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        assert_eq!(status & libc::O_NONBLOCK, libc::O_NONBLOCK);
    }

    #[test]
    fn unix_paths_bind_once_and_report_their_path() {
        let path = std::env::temp_dir().join(format!("bind-{}.sock", std::process::id()));
        let bytes = path.to_str().unwrap().as_bytes();
        let listener = bind_unix(bytes, 16).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(
            local_address(listener.as_raw_fd()).unwrap(),
            LocalAddress::Unix(bytes.to_vec())
        );
        let error = bind_unix(bytes, 16).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
        std::fs::remove_file(path).unwrap();
        assert!(bind_unix(&[b'x'; 200], 16).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_addresses_keep_their_zero_byte() {
        let name = format!("\0monoceros-bind-{}", std::process::id());
        let listener = bind_unix(name.as_bytes(), 16).unwrap();
        let address = local_address(listener.as_raw_fd()).unwrap();
        assert_eq!(address, LocalAddress::Unix(name.into_bytes()));
    }

    #[test]
    fn an_inherited_socket_that_does_not_listen_yet_is_made_to() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        adopt_listener(socket.as_raw_fd(), 16).unwrap();
        adopt_listener(socket.as_raw_fd(), 16).unwrap();
        TcpStream::connect(socket.local_addr().unwrap().as_socket().unwrap()).unwrap();
    }

    #[test]
    fn only_stream_sockets_are_adopted() {
        let datagram = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let code = |fd| adopt_listener(fd, 16).unwrap_err().raw_os_error();
        assert_eq!(code(datagram.as_raw_fd()), Some(libc::EPROTOTYPE));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(code(file.as_raw_fd()), Some(libc::ENOTSOCK));
        assert_eq!(code(-1), Some(libc::EBADF));
    }
}
