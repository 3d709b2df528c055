//! Users and groups, as the system's own database has them (files, LDAP and whatever else is configured).

use std::ffi::{CString, c_char};
use std::{io, mem, ptr};

/// The ids of a user and of the user's own group; `None` when there is no such user.
pub(super) fn find_user(name: &str) -> io::Result<Option<(u32, u32)>> {
    let name = CString::new(name)?;
    find_ids(|entry, (text, len), found| {
        // SAFETY: a C string, and memory for the answer that lives through the call.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, text, len, found) }
    })
}

/// The same of the user that has this number.
pub(super) fn find_user_by_uid(uid: u32) -> io::Result<Option<(u32, u32)>> {
    find_ids(|entry, (text, len), found| {
        // SAFETY: memory for the answer that lives through the call.
        unsafe { libc::getpwuid_r(uid, entry, text, len, found) }
    })
}

fn find_ids(
    mut ask: impl FnMut(*mut libc::passwd, (*mut c_char, usize), *mut *mut libc::passwd) -> i32,
) -> io::Result<Option<(u32, u32)>> {
    look_up(|buffer| {
        // SAFETY: all zeroes is a valid passwd: numbers and null pointers.
        let mut entry: libc::passwd = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        let status = ask(&raw mut entry, (buffer.as_mut_ptr(), buffer.len()), &raw mut found);
        (status, (!found.is_null()).then_some((entry.pw_uid, entry.pw_gid)))
    })
}

/// The id of a group; `None` when there is no such group.
pub(super) fn find_group(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    look_up(|buffer| {
        // SAFETY: all zeroes is a valid group: numbers and null pointers.
        let mut entry: libc::group = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        let (text, len) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: a C string, and memory for the answer that lives through the call.
        let status =
            unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut entry, text, len, &raw mut found) };
        (status, (!found.is_null()).then_some(entry.gr_gid))
    })
}

/// Asks with more and more room, as a group may have thousands of members.
fn look_up<T>(mut ask: impl FnMut(&mut [c_char]) -> (i32, Option<T>)) -> io::Result<Option<T>> {
    let mut room = 1_024;
    loop {
        let (status, found) = ask(&mut vec![0; room]);
        match status {
            0 => return Ok(found),
            libc::ERANGE if room < MAX_ENTRY_BYTES => room *= 4,
            // POSIX leaves open how "not found" is said; glibc and musl use these too.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// No entry is longer.
const MAX_ENTRY_BYTES: usize = 1 << 20;
