//! What Node cannot do for a process: bind with every option, tell a descriptor's address, close
//! it or give it to another process, name the process at full length, find a user's ids, talk to systemd, choose
//! processors.

mod descriptors;
mod notify;
mod orphans;
mod processors;
mod title;
mod users;

use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::time::Duration;

use monoceros_engine::scoreboard::monotonic_us;
use monoceros_engine::transport::listener::{self, LocalAddress, TcpOptions};
use napi_derive::napi;

use crate::system_error::system_error;

/// Where a socket is bound. Of a unix socket only `path` is set; it starts with `\0` when abstract.
#[napi(object)]
pub struct SocketAddress {
    #[napi(ts_type = "'IPv4' | 'IPv6' | 'unix'")]
    pub family: String,
    pub address: String,
    pub port: u16,
    pub path: String,
}

/// Binds a TCP address and listens. Returns a descriptor that the caller closes.
#[napi(catch_unwind)]
pub fn bind_tcp(
    host: String,
    port: u16,
    backlog: u32,
    reuse_port: bool,
    ipv6_only: bool,
) -> napi::Result<i32, String> {
    let options = TcpOptions { backlog, reuse_port, ipv6_only };
    listener::bind_tcp(&host, port, options)
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| system_error("listen", &format_host_and_port(&host, port), &error))
}

/// Binds a unix socket and listens; mode 0777 less the umask. Returns a descriptor that the caller
/// closes.
#[napi(catch_unwind)]
pub fn bind_unix(path: String, backlog: u32) -> napi::Result<i32, String> {
    listener::bind_unix(path.as_bytes(), backlog)
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| system_error("listen", &path.replace('\0', "@"), &error))
}

/// Takes over an inherited stream socket: it listens afterwards, does not block and is closed on
/// exec.
#[napi(catch_unwind)]
pub fn adopt_listener(fd: i32, backlog: u32) -> napi::Result<(), String> {
    listener::adopt_listener(fd, backlog)
        .map_err(|error| system_error("listen", &format!("descriptor {fd}"), &error))
}

/// Listens on a bound socket of somebody else's and returns a descriptor of one's own for it.
#[napi(catch_unwind)]
pub fn listen_on(fd: i32, backlog: u32) -> napi::Result<i32, String> {
    listener::listen_on(fd, backlog)
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| system_error("listen", &format!("descriptor {fd}"), &error))
}

/// How many connections wait in the queue of a listening TCP socket; Linux tells.
#[napi(catch_unwind)]
pub fn count_pending_connections(fd: i32) -> napi::Result<u32, String> {
    listener::count_pending_connections(fd)
        .map_err(|error| system_error("getsockopt", &format!("descriptor {fd}"), &error))
}

/// Closes a descriptor.
#[napi(catch_unwind)]
pub fn close_fd(fd: i32) -> napi::Result<(), String> {
    // SAFETY: the number comes from JavaScript, which owns what it closes; EBADF when it is none.
    if unsafe { libc::close(fd) } == 0 {
        return Ok(());
    }
    Err(system_error("close", &format!("descriptor {fd}"), &io::Error::last_os_error()))
}

/// Answers the question `id` of the process at the other end of a socket pair, with a copy of a descriptor or with no.
#[napi(catch_unwind)]
pub fn send_descriptor(socket: i32, id: u32, fd: Option<i32>) -> napi::Result<(), String> {
    descriptors::respond(socket, id, fd)
        .map_err(|error| system_error("sendmsg", &format!("descriptor {socket}"), &error))
}

/// Asks the process at the other end of a socket pair for a descriptor and waits for the answer, at most `limit` seconds.
/// The caller closes what comes; undefined is a no.
#[napi(catch_unwind)]
pub fn request_descriptor(
    socket: i32,
    question: String,
    id: u32,
    limit: f64,
) -> napi::Result<Option<i32>, String> {
    descriptors::request(socket, &question, id, Duration::from_secs_f64(limit.clamp(0.0, 60.0)))
        .map(|found| found.map(IntoRawFd::into_raw_fd))
        .map_err(|error| system_error("recvmsg", &format!("descriptor {socket}"), &error))
}

/// The address a socket is bound to.
#[napi(catch_unwind)]
pub fn local_address(fd: i32) -> napi::Result<SocketAddress, String> {
    let address = listener::local_address(fd)
        .map_err(|error| system_error("getsockname", &format!("descriptor {fd}"), &error))?;
    Ok(match address {
        LocalAddress::Ip(address) => SocketAddress {
            family: if address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
            address: address.ip().to_string(),
            port: address.port(),
            path: String::new(),
        },
        LocalAddress::Unix(path) => SocketAddress {
            family: "unix".to_owned(),
            address: String::new(),
            port: 0,
            path: String::from_utf8_lossy(&path).into_owned(),
        },
    })
}

/// Makes the kernel kill this process when the thread that started it ends, or no longer when no `parent` is given. False
/// when `parent` has ended already. Linux alone can do it, and forgets it when the user changes.
#[napi(catch_unwind)]
pub fn set_parent_death_signal(parent: Option<u32>) -> bool {
    #[cfg(target_os = "linux")]
    {
        let signal = if parent.is_some() { libc::SIGKILL } else { 0 };
        // SAFETY: sets a number of this process and takes no pointer.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    }
    parent.is_none_or(|parent| parent == std::os::unix::process::parent_id())
}

/// Names the process as `ps` shows it, longer than its arguments were if need be. Returns whether
/// the system allows it.
#[napi(catch_unwind)]
pub fn set_title(title: String) -> bool {
    title::set(&title)
}

/// The children of this process that have ended and that nobody has waited for.
#[napi(catch_unwind)]
pub fn list_zombies() -> Vec<i32> {
    orphans::list_zombies()
}

/// Waits for a child that has ended; false when there is no such child.
#[napi(catch_unwind)]
pub fn reap_zombie(pid: i32) -> bool {
    orphans::reap_zombie(pid)
}

/// The ids of a user and of the user's own group.
#[napi(object)]
pub struct UserIds {
    pub uid: u32,
    pub gid: u32,
}

/// Finds a user by name.
#[napi(catch_unwind)]
pub fn user_ids(name: String) -> napi::Result<Option<UserIds>, String> {
    let found = users::find_user(&name).map_err(|error| system_error("getpwnam", &name, &error))?;
    Ok(found.map(|(uid, gid)| UserIds { uid, gid }))
}

/// Finds a user by number.
#[napi(catch_unwind)]
pub fn user_ids_by_uid(uid: u32) -> napi::Result<Option<UserIds>, String> {
    let found = users::find_user_by_uid(uid)
        .map_err(|error| system_error("getpwuid", &uid.to_string(), &error))?;
    Ok(found.map(|(uid, gid)| UserIds { uid, gid }))
}

/// Finds a group by name.
#[napi(catch_unwind)]
pub fn group_id(name: String) -> napi::Result<Option<u32>, String> {
    users::find_group(&name).map_err(|error| system_error("getgrnam", &name, &error))
}

/// Sends a message to systemd's notification socket.
#[napi(catch_unwind)]
pub fn notify_systemd(socket: String, message: String) -> napi::Result<(), String> {
    notify::send(&socket, &message).map_err(|error| system_error("sendto", &socket, &error))
}

/// Lets the main thread of a process, and the threads that it starts from now on, run on one of the
/// processors that this process may use only: the `number`th, counted round. False where the system
/// cannot.
#[napi(catch_unwind)]
pub fn pin_to_processor(pid: i32, number: u32) -> napi::Result<bool, String> {
    processors::pin(pid, number)
        .map_err(|error| system_error("sched_setaffinity", &pid.to_string(), &error))
}

/// Milliseconds on the clock that all processes of the machine share.
#[napi(catch_unwind)]
pub fn monotonic_ms() -> f64 {
    monotonic_us() as f64 / 1_000.0
}

fn format_host_and_port(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}
