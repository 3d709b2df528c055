//! Borrowed buffers: buffers of the application that the engine sends without a copy. A reference
//! keeps each one alive until the I/O thread has sent it or has given up its client. Only
//! JavaScript's thread may delete the reference, and does so then.
#![allow(unsafe_code, reason = "Node-API is a C interface, and the memory is JavaScript's")]

use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use monoceros_engine::buffers::borrowed::ReturnedBuffers;
use napi::{Env, sys};

/// Bytes that belong to JavaScript, and the reference that keeps them alive.
struct BorrowedBuffer {
    data: *const u8,
    len: usize,
    reference: sys::napi_ref,
    returned: Arc<ReturnedBuffers>,
}

// SAFETY: the memory does not move. It lives until `reference` is deleted on JavaScript's thread,
// after this value has been dropped. Nothing else here belongs to a thread. The application must
// not write into the memory before 'finish', as with Node's own sockets.
unsafe impl Send for BorrowedBuffer {}

impl AsRef<[u8]> for BorrowedBuffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Drop for BorrowedBuffer {
    fn drop(&mut self) {
        self.returned.push(self.reference as usize);
    }
}

/// Lends `piece` to the I/O thread.
pub(crate) fn lend(
    env: Env,
    piece: sys::napi_value,
    returned: &Arc<ReturnedBuffers>,
) -> Option<Bytes> {
    let mut reference = ptr::null_mut();
    let (mut data, mut len) = (ptr::null_mut(), 0);
    // SAFETY: this runs on the environment's thread, with a value of that environment. A value of
    // another type makes the call fail.
    let found = unsafe {
        sys::napi_get_buffer_info(env.raw(), piece, &mut data, &mut len) == sys::Status::napi_ok
            && !data.is_null()
            && sys::napi_create_reference(env.raw(), piece, 1, &mut reference)
                == sys::Status::napi_ok
    };
    let returned = returned.clone();
    found.then(|| Bytes::from_owner(BorrowedBuffer { data: data.cast(), len, reference, returned }))
}

/// Deletes the references to buffers that have been sent.
pub(crate) fn release(env: Env, returned: &ReturnedBuffers) {
    for reference in returned.take() {
        // SAFETY: this runs on the environment's thread. Each reference comes back once, when
        // nothing points to its memory any more.
        unsafe { sys::napi_delete_reference(env.raw(), reference as sys::napi_ref) };
    }
}
