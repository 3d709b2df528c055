//! The functions of libuv that the I/O loop needs. They are looked up by name at run time. Where
//! one is missing, the I/O thread runs the loop alone.
#![allow(unsafe_code, reason = "functions of libuv are looked up by name")]

use std::ffi::c_void;
use std::mem::transmute;

use crate::symbols::find_symbol;

pub(crate) type Callback = unsafe extern "C" fn(*mut c_void);
pub(crate) type PollCallback = unsafe extern "C" fn(*mut c_void, i32, i32);

/// Declares the functions of libuv that the loop needs, and their lookup.
macro_rules! libuv {
    ($($field:ident: $name:literal, $type:ty;)*) => {
        /// The functions of libuv that the loop needs.
        #[derive(Clone, Copy)]
        pub(crate) struct Libuv {
            $(pub $field: $type,)*
        }

        impl Libuv {
            /// Looks the functions up; `None` if one of them is missing.
            pub fn find() -> Option<Self> {
                Some(Self {
                    // SAFETY: libuv's C interface is stable in all versions 1.x, and the types are
                    // those of its declarations in `uv.h`.
                    $($field: unsafe {
                        transmute::<*mut c_void, $type>(find_symbol($name)?.as_ptr())
                    },)*
                })
            }
        }
    };
}

libuv! {
    handle_size: c"uv_handle_size", unsafe extern "C" fn(i32) -> usize;
    unref: c"uv_unref", unsafe extern "C" fn(*mut c_void);
    close: c"uv_close", unsafe extern "C" fn(*mut c_void, Callback);
    poll_init: c"uv_poll_init", unsafe extern "C" fn(*mut c_void, *mut c_void, i32) -> i32;
    poll_start: c"uv_poll_start", unsafe extern "C" fn(*mut c_void, i32, PollCallback) -> i32;
    poll_stop: c"uv_poll_stop", unsafe extern "C" fn(*mut c_void) -> i32;
    prepare_init: c"uv_prepare_init", unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32;
    prepare_start: c"uv_prepare_start", unsafe extern "C" fn(*mut c_void, Callback) -> i32;
    check_init: c"uv_check_init", unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32;
    check_start: c"uv_check_start", unsafe extern "C" fn(*mut c_void, Callback) -> i32;
    timer_init: c"uv_timer_init", unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32;
    timer_start: c"uv_timer_start", unsafe extern "C" fn(*mut c_void, Callback, u64, u64) -> i32;
    timer_stop: c"uv_timer_stop", unsafe extern "C" fn(*mut c_void) -> i32;
}

/// The types of handles, as `uv_handle_type` numbers them in all versions 1.x.
pub(crate) const UV_CHECK: i32 = 2;
pub(crate) const UV_POLL: i32 = 8;
pub(crate) const UV_PREPARE: i32 = 9;
pub(crate) const UV_TIMER: i32 = 13;
/// `UV_READABLE` of `uv_poll_event`.
pub(crate) const UV_READABLE: i32 = 1;
