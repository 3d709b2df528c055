//! Looks up users and groups in the system databases that `nsswitch.conf(5)` configures: files,
//! LDAP and others.

use std::ffi::{CString, c_char};
use std::{io, mem, ptr};

/// Returns the user id of a user and the id of the primary group, or `None` if there is no such
/// user.
pub(super) fn find_user(name: &str) -> io::Result<Option<(u32, u32)>> {
    let name = CString::new(name)?;
    find_ids(|entry, (text, len), found| {
        // SAFETY: the name is a C string, and the result memory outlives the call.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, text, len, found) }
    })
}

/// Returns the user id and the id of the primary group of the user with this id, or `None` if there
/// is no such user.
pub(super) fn find_user_by_uid(uid: u32) -> io::Result<Option<(u32, u32)>> {
    find_ids(|entry, (text, len), found| {
        // SAFETY: the result memory outlives the call.
        unsafe { libc::getpwuid_r(uid, entry, text, len, found) }
    })
}

fn find_ids(
    mut lookup: impl FnMut(*mut libc::passwd, (*mut c_char, usize), *mut *mut libc::passwd) -> i32,
) -> io::Result<Option<(u32, u32)>> {
    retry_with_larger_buffer(|buffer| {
        // SAFETY: a zeroed `passwd` is valid: numbers and null pointers.
        let mut entry: libc::passwd = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        let status = lookup(&raw mut entry, (buffer.as_mut_ptr(), buffer.len()), &raw mut found);
        (status, (!found.is_null()).then_some((entry.pw_uid, entry.pw_gid)))
    })
}

/// Returns the id of a group, or `None` if there is no such group.
pub(super) fn find_group(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    retry_with_larger_buffer(|buffer| {
        // SAFETY: a zeroed `group` is valid: numbers and null pointers.
        let mut entry: libc::group = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        let (text, len) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the name is a C string, and the result memory outlives the call.
        let status =
            unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut entry, text, len, &raw mut found) };
        (status, (!found.is_null()).then_some(entry.gr_gid))
    })
}

/// Repeats a lookup with a larger buffer until the entry fits: a group may have thousands of
/// members.
fn retry_with_larger_buffer<T>(
    mut lookup: impl FnMut(&mut [c_char]) -> (i32, Option<T>),
) -> io::Result<Option<T>> {
    let mut buffer_len = 1_024;
    loop {
        let (status, found) = lookup(&mut vec![0; buffer_len]);
        match status {
            0 => return Ok(found),
            libc::ERANGE if buffer_len < MAX_ENTRY_BYTES => buffer_len *= 4,
            // POSIX does not define how "not found" is reported; glibc and musl also use these
            // errors.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Maximum size of the buffer for one entry, in bytes.
const MAX_ENTRY_BYTES: usize = 1 << 20;
