//! Buffers of the application that are sent from where they are. A reference keeps each alive until the I/O thread has
//! sent it, or has given its client up; JavaScript's thread, which alone may, lets it go then.
#![allow(unsafe_code, reason = "Node-API is a C interface, and the memory is JavaScript's")]

use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use monoceros_engine::buffers::borrowed::ReturnedBuffers;
use napi::{Env, sys};

/// Bytes of JavaScript's, and the reference that keeps them.
struct BorrowedBuffer {
    data: *const u8,
    len: usize,
    reference: sys::napi_ref,
    returned: Arc<ReturnedBuffers>,
}

// SAFETY: the memory does not move, and lives until `reference` is deleted, which happens on JavaScript's thread after
// this has been dropped; nothing else here belongs to a thread. That nobody writes into it meanwhile is the
// application's duty, as it is with node's own sockets: 'finish' says when it is over.
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
    // SAFETY: on the environment's thread, with a value of it; a value of another kind makes the call fail.
    let found = unsafe {
        sys::napi_get_buffer_info(env.raw(), piece, &mut data, &mut len) == sys::Status::napi_ok
            && !data.is_null()
            && sys::napi_create_reference(env.raw(), piece, 1, &mut reference)
                == sys::Status::napi_ok
    };
    let returned = returned.clone();
    found.then(|| Bytes::from_owner(BorrowedBuffer { data: data.cast(), len, reference, returned }))
}

/// Lets go of what has been sent.
pub(crate) fn release(env: Env, returned: &ReturnedBuffers) {
    for reference in returned.take() {
        // SAFETY: on the environment's thread; each reference comes back once, when nothing points there any more.
        unsafe { sys::napi_delete_reference(env.raw(), reference as sys::napi_ref) };
    }
}
