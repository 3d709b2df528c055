//! System errors in the form of Node's own: `code` is the name of the errno.

use std::io;

/// Creates an error whose `code` is the name of the errno, with a message in the wording of Node:
/// `listen EADDRINUSE: Address already in use 127.0.0.1:8000`.
pub(crate) fn system_error(call: &str, what: &str, error: &io::Error) -> napi::Error<String> {
    let separator = if what.is_empty() { "" } else { " " };
    let Some(number) = error.raw_os_error() else {
        let code = match error.kind() {
            io::ErrorKind::InvalidInput => "ERR_INVALID_ARG_VALUE",
            io::ErrorKind::NotFound => "ENOTFOUND",
            _ => "ERR_SYSTEM_ERROR",
        };
        return napi::Error::new(code.to_owned(), format!("{call}: {error}{separator}{what}"));
    };
    let name = errno_name(number).map_or_else(|| format!("E{number}"), str::to_owned);
    let full = error.to_string();
    // The standard library appends the number of the error, which the name already identifies.
    let text = full.strip_suffix(&format!(" (os error {number})")).unwrap_or(&full);
    let message = format!("{call} {name}: {text}{separator}{what}");
    napi::Error::new(name, message)
}

fn errno_name(number: i32) -> Option<&'static str> {
    ERRNO_NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

macro_rules! errno_table {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// The errors of system calls on sockets, descriptors and shared memory.
const ERRNO_NAMES: &[(i32, &str)] = errno_table! {
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF EBUSY ECONNABORTED
    ECONNREFUSED ECONNRESET EDESTADDRREQ EEXIST EFAULT EFBIG EHOSTDOWN EHOSTUNREACH EINPROGRESS
    EINTR EINVAL EIO EISCONN EISDIR ELOOP EMFILE EMSGSIZE ENAMETOOLONG ENETDOWN ENETUNREACH ENFILE
    ENOBUFS ENODEV ENOENT ENOMEM ENOPROTOOPT ENOSPC ENOSYS ENOTCONN ENOTDIR ENOTSOCK ENOTSUP ENXIO
    EPERM EPIPE EPROTO EPROTONOSUPPORT EPROTOTYPE ERANGE EROFS ESRCH ETIMEDOUT
};
