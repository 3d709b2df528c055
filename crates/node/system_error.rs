//! Errors of the system as Node knows them: `code` is the name of the errno.

use std::io;

/// An error whose `code` is the errno's name, and whose message is worded as Node's own are:
/// `listen EADDRINUSE: Address already in use 127.0.0.1:8000`.
pub(crate) fn system_error(call: &str, what: &str, error: &io::Error) -> napi::Error<String> {
    let space = if what.is_empty() { "" } else { " " };
    let Some(number) = error.raw_os_error() else {
        let code = match error.kind() {
            io::ErrorKind::InvalidInput => "ERR_INVALID_ARG_VALUE",
            io::ErrorKind::NotFound => "ENOTFOUND",
            _ => "ERR_SYSTEM_ERROR",
        };
        return napi::Error::new(code.to_owned(), format!("{call}: {error}{space}{what}"));
    };
    let name = errno_name(number).map_or_else(|| format!("E{number}"), str::to_owned);
    let full = error.to_string();
    // The standard library ends the text with the number, which the name says better.
    let text = full.strip_suffix(&format!(" (os error {number})")).unwrap_or(&full);
    let message = format!("{call} {name}: {text}{space}{what}");
    napi::Error::new(name, message)
}

fn errno_name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// What sockets, descriptors and shared memory fail with.
const NAMES: &[(i32, &str)] = names! {
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF EBUSY ECONNABORTED
    ECONNREFUSED ECONNRESET EDESTADDRREQ EEXIST EFAULT EFBIG EHOSTDOWN EHOSTUNREACH EINPROGRESS EINTR
    EINVAL EIO EISCONN EISDIR ELOOP EMFILE EMSGSIZE ENAMETOOLONG ENETDOWN ENETUNREACH ENFILE ENOBUFS
    ENODEV ENOENT ENOMEM ENOPROTOOPT ENOSPC ENOSYS ENOTCONN ENOTDIR ENOTSOCK ENOTSUP ENXIO EPERM EPIPE
    EPROTO EPROTONOSUPPORT EPROTOTYPE ERANGE EROFS ESRCH ETIMEDOUT
};
