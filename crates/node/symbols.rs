//! Functions of the running program that Node-API does not offer, looked up by name at run time.
#![allow(unsafe_code, reason = "a lookup by name is a system call")]

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// Finds a function of the running program or of a library that it has loaded.
pub(crate) fn find_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: `dlsym` looks up a name and runs no code.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}
