//! Process and socket functions that Node does not provide. They bind with every option, report the
//! address of a descriptor, and close it or send it to another process. They also set the process
//! title, look up users and groups, notify systemd and set CPU affinity.

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

/// The address to which a socket is bound. A Unix socket has only `path`, which starts with `\0` if
/// the name is abstract.
#[napi(object)]
pub struct SocketAddress {
    #[napi(ts_type = "'IPv4' | 'IPv6' | 'unix'")]
    pub family: String,
    pub address: String,
    pub port: u16,
    pub path: String,
}

/// Binds a TCP address and listens. Returns a descriptor that the caller must close.
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

/// Binds a Unix socket and listens. Its mode is 0777 reduced by the umask. Returns a descriptor
/// that the caller must close.
#[napi(catch_unwind)]
pub fn bind_unix(path: String, backlog: u32) -> napi::Result<i32, String> {
    listener::bind_unix(path.as_bytes(), backlog)
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| system_error("listen", &path.replace('\0', "@"), &error))
}

/// Adopts an inherited stream socket: makes it listen, non-blocking and close-on-exec.
#[napi(catch_unwind)]
pub fn adopt_listener(fd: i32, backlog: u32) -> napi::Result<(), String> {
    listener::adopt_listener(fd, backlog)
        .map_err(|error| system_error("listen", &format!("descriptor {fd}"), &error))
}

/// Listens on a bound socket of another owner. Returns a duplicate descriptor that the caller must
/// close.
#[napi(catch_unwind)]
pub fn listen_on(fd: i32, backlog: u32) -> napi::Result<i32, String> {
    listener::listen_on(fd, backlog)
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| system_error("listen", &format!("descriptor {fd}"), &error))
}

/// Returns the number of connections in the accept queue of a listening TCP socket. Linux only.
#[napi(catch_unwind)]
pub fn count_pending_connections(fd: i32) -> napi::Result<u32, String> {
    listener::count_pending_connections(fd)
        .map_err(|error| system_error("getsockopt", &format!("descriptor {fd}"), &error))
}

/// Closes a descriptor.
#[napi(catch_unwind)]
pub fn close_fd(fd: i32) -> napi::Result<(), String> {
    // SAFETY: the number comes from JavaScript, which owns the descriptor. A wrong number is EBADF.
    if unsafe { libc::close(fd) } == 0 {
        return Ok(());
    }
    Err(system_error("close", &format!("descriptor {fd}"), &io::Error::last_os_error()))
}

/// Responds to the request `id` of the process at the other end of a socket pair. The response
/// carries a duplicate of `fd`; without `fd` it is a refusal.
#[napi(catch_unwind)]
pub fn send_descriptor(socket: i32, id: u32, fd: Option<i32>) -> napi::Result<(), String> {
    descriptors::send_response(socket, id, fd)
        .map_err(|error| system_error("sendmsg", &format!("descriptor {socket}"), &error))
}

/// Requests a descriptor from the process at the other end of a socket pair and blocks for at most
/// `limit` seconds (0 to 60). The caller must close the result; undefined means that the process
/// has refused.
#[napi(catch_unwind)]
pub fn request_descriptor(
    socket: i32,
    request: String,
    id: u32,
    limit: f64,
) -> napi::Result<Option<i32>, String> {
    descriptors::request_descriptor(
        socket,
        &request,
        id,
        Duration::from_secs_f64(limit.clamp(0.0, 60.0)),
    )
    .map(|found| found.map(IntoRawFd::into_raw_fd))
    .map_err(|error| system_error("recvmsg", &format!("descriptor {socket}"), &error))
}

/// Returns the address to which a socket is bound.
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

/// Makes the kernel kill this process when the thread that started it exits, as `prctl(2)`
/// describes for `PR_SET_PDEATHSIG`. Without `parent` it clears the setting. Returns false if
/// `parent` has exited already. Only Linux supports this, and clears the setting when the user
/// changes.
#[napi(catch_unwind)]
pub fn set_parent_death_signal(parent: Option<u32>) -> bool {
    #[cfg(target_os = "linux")]
    {
        let signal = if parent.is_some() { libc::SIGKILL } else { 0 };
        // SAFETY: the call sets a number of this process and takes no pointer.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    }
    parent.is_none_or(|parent| parent == std::os::unix::process::parent_id())
}

/// Sets the title of the process in `ps`, which may be longer than the original arguments. Returns
/// whether the system supports it.
#[napi(catch_unwind)]
pub fn set_title(title: String) -> bool {
    title::set_title(&title)
}

/// Returns the child processes that have exited and have not been reaped.
#[napi(catch_unwind)]
pub fn list_zombies() -> Vec<i32> {
    orphans::list_zombies()
}

/// Reaps a child process that has exited. Returns false if there is no such child.
#[napi(catch_unwind)]
pub fn reap_zombie(pid: i32) -> bool {
    orphans::reap_zombie(pid)
}

/// The user id of a user and the id of the user's primary group.
#[napi(object)]
pub struct UserIds {
    pub uid: u32,
    pub gid: u32,
}

/// Finds a user by name. Returns null if there is no such user.
#[napi(catch_unwind)]
pub fn user_ids(name: String) -> napi::Result<Option<UserIds>, String> {
    let found = users::find_user(&name).map_err(|error| system_error("getpwnam", &name, &error))?;
    Ok(found.map(|(uid, gid)| UserIds { uid, gid }))
}

/// Finds a user by user id. Returns null if there is no such user.
#[napi(catch_unwind)]
pub fn user_ids_by_uid(uid: u32) -> napi::Result<Option<UserIds>, String> {
    let found = users::find_user_by_uid(uid)
        .map_err(|error| system_error("getpwuid", &uid.to_string(), &error))?;
    Ok(found.map(|(uid, gid)| UserIds { uid, gid }))
}

/// Finds a group by name. Returns null if there is no such group.
#[napi(catch_unwind)]
pub fn group_id(name: String) -> napi::Result<Option<u32>, String> {
    users::find_group(&name).map_err(|error| system_error("getgrnam", &name, &error))
}

/// Sends a message to the notification socket of systemd, `sd_notify(3)`.
#[napi(catch_unwind)]
pub fn notify_systemd(socket: String, message: String) -> napi::Result<(), String> {
    notify::send_message(&socket, &message).map_err(|error| system_error("sendto", &socket, &error))
}

/// Pins a process to one processor: its main thread, and the threads it starts later. `number` is
/// an index into the processors that the calling process may use, modulo their count. Returns false
/// where the system does not support it.
#[napi(catch_unwind)]
pub fn pin_to_processor(pid: i32, number: u32) -> napi::Result<bool, String> {
    processors::pin_to_processor(pid, number)
        .map_err(|error| system_error("sched_setaffinity", &pid.to_string(), &error))
}

/// Returns milliseconds on a monotonic clock that all processes of the machine share.
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
