//! The crossing's JavaScript end: one thread-safe function that the I/O thread calls once a turn, and the memory of
//! the ring.
//!
//! Raw Node-API throughout: a batch must cost one call, one string and nothing per request. What JavaScript throws is
//! handed to Node as an uncaught exception.
#![allow(unsafe_code, reason = "Node-API is a C interface")]

use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use monoceros_engine::access::AccessLog;
use monoceros_engine::error::Error;
use monoceros_engine::inbound::Batch;
use monoceros_engine::io_thread::{IoThread, Options};
use monoceros_engine::limits::Limits;
use monoceros_engine::listener::Seat;
use monoceros_engine::ring::Ring;
use napi::bindgen_prelude::{Function, Uint8Array};
use napi::{Env, JsValue as _, Unknown, sys};

use crate::engine::failed;

/// The I/O thread of an environment as its JavaScript thread holds it.
pub struct Bridge {
    state: Rc<State>,
}

struct State {
    io: RefCell<Option<IoThread>>,
    /// Taken from the I/O thread and not yet made into JavaScript values; kept for its memory.
    batch: RefCell<Batch>,
    wake: sys::napi_threadsafe_function,
    /// Keeps the ring's memory alive: the I/O thread reads it until it is joined.
    ring: RefCell<Option<Uint8Array>>,
}

/// A thread-safe function that may be called from the I/O thread.
struct Wake(sys::napi_threadsafe_function);
// SAFETY: that is what thread-safe functions are for; it outlives the I/O thread, which is joined before the
// environment finalizes it.
unsafe impl Send for Wake {}
// SAFETY: as above.
unsafe impl Sync for Wake {}

impl Wake {
    fn call(&self) {
        // SAFETY: see above. A refusal means that the environment is ending: nobody is left to wake.
        unsafe {
            sys::napi_call_threadsafe_function(
                self.0,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            )
        };
    }
}

impl Bridge {
    /// Starts the I/O thread and ties it to the environment's life.
    pub(crate) fn start(
        env: Env,
        limits: Limits,
        access: Option<AccessLog>,
        seat: Option<Seat>,
        lifeline: Option<i32>,
        mut ring: Uint8Array,
        dispatch: Function<'_, Unknown<'_>, Unknown<'_>>,
    ) -> Result<Self, Error> {
        // SAFETY: the array is referenced by `State` until the I/O thread has been joined, and JavaScript never
        // detaches or resizes it.
        let (memory, len) = unsafe {
            let memory = ring.as_mut();
            (memory.as_mut_ptr(), memory.len())
        };
        // SAFETY: as above; a fresh ArrayBuffer is zeroed and aligned.
        let Some(reader) = (unsafe { Ring::new(memory, len) }) else {
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into());
        };
        let state = Rc::new(State {
            io: RefCell::new(None),
            batch: RefCell::default(),
            wake: ptr::null_mut(),
            ring: RefCell::new(Some(ring)),
        });
        let context = Rc::into_raw(state).cast_mut();
        let mut wake = ptr::null_mut();
        // SAFETY: called on the environment's thread. The context is leaked with one count, given back by `teardown`.
        unsafe {
            let mut name = ptr::null_mut();
            sys::napi_create_string_latin1(env.raw(), c"monoceros".as_ptr(), 9, &mut name);
            let status = sys::napi_create_threadsafe_function(
                env.raw(),
                dispatch.raw(),
                ptr::null_mut(),
                name,
                0,
                1,
                ptr::null_mut(),
                None,
                context.cast(),
                Some(hand_over),
                &mut wake,
            );
            if status != sys::Status::napi_ok {
                drop(Rc::from_raw(context));
                return Err(std::io::Error::other("Node gave no thread-safe function").into());
            }
            (*context).wake = wake;
            // After the thread-safe function: hooks run in reverse, so the I/O thread is joined before it goes.
            sys::napi_add_env_cleanup_hook(env.raw(), Some(teardown), context.cast());
        }
        let waker = Wake(wake);
        let started = IoThread::start(Options {
            limits,
            ring: reader,
            seat,
            lifeline,
            access,
            wake_javascript: Box::new(move || waker.call()),
        });
        // SAFETY: `teardown` has not run; this makes a second count of the leaked one.
        let state = unsafe {
            Rc::increment_strong_count(context);
            Rc::from_raw(context.cast_const())
        };
        let bridge = Self { state };
        match started {
            Ok(io) => {
                *bridge.state.io.borrow_mut() = Some(io);
                Ok(bridge)
            }
            Err(error) => {
                bridge.stop(env);
                Err(error)
            }
        }
    }

    /// Calls the I/O thread, if it lives.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&IoThread) -> T) -> napi::Result<T, String> {
        let io = self.state.io.borrow();
        io.as_ref().map(call).ok_or_else(|| failed(Error::closed()))
    }

    /// Whether the engine keeps the process alive.
    pub(crate) fn set_ref(&self, env: Env, alive: bool) {
        if self.state.io.borrow().is_none() {
            return;
        }
        // SAFETY: on the environment's thread, before `teardown`.
        unsafe {
            if alive {
                sys::napi_ref_threadsafe_function(env.raw(), self.state.wake);
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), self.state.wake);
            }
        }
    }

    /// Ends the I/O thread before the environment ends.
    pub(crate) fn stop(&self, env: Env) {
        let context = Rc::as_ptr(&self.state).cast_mut();
        if self.state.ring.borrow_mut().take().is_none() {
            return;
        }
        let io = self.state.io.borrow_mut().take();
        drop(io);
        // SAFETY: on the environment's thread; the hook has not run, or the ring would be gone. The count that the
        // hook would give back is given back by the release's callbacks being over: the function is aborted, so
        // `hand_over` is not called any more.
        unsafe {
            sys::napi_remove_env_cleanup_hook(env.raw(), Some(teardown), context.cast());
            sys::napi_release_threadsafe_function(
                self.state.wake,
                sys::ThreadsafeFunctionReleaseMode::abort,
            );
        }
        // The leaked count stays: a callback already queued may still carry the pointer. It is a few bytes, once.
    }
}

/// The environment ends: join the I/O thread and let the memory go.
unsafe extern "C" fn teardown(context: *mut c_void) {
    // SAFETY: the count that `Bridge::start` leaked; the hook runs once.
    let state = unsafe { Rc::from_raw(context.cast::<State>().cast_const()) };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        drop(state.io.borrow_mut().take());
        // The reference cannot be deleted once the environment is going; Node frees the memory with it.
        std::mem::forget(state.ring.borrow_mut().take());
    }));
}

/// Runs on the JavaScript thread when the I/O thread has woken it: hands the waiting events over in one call.
unsafe extern "C" fn hand_over(
    env: sys::napi_env,
    dispatch: sys::napi_value,
    context: *mut c_void,
    _: *mut c_void,
) {
    if env.is_null() || dispatch.is_null() {
        return;
    }
    // SAFETY: `Bridge::start` leaked the context for as long as this can be called.
    let state = unsafe { &*context.cast::<State>().cast_const() };
    // While requests keep coming, JavaScript goes on without a sleep and without a wake; after some batches the event
    // loop gets its turn for timers and other descriptors.
    for _ in 0..BATCHES_A_TURN {
        let mut scope = ptr::null_mut();
        // SAFETY: called by Node on its own thread; the scope is closed below.
        unsafe { sys::napi_open_handle_scope(env, &mut scope) };
        let outcome = dispatch_once(env, dispatch, state);
        // SAFETY: opened above.
        unsafe { sys::napi_close_handle_scope(env, scope) };
        match outcome {
            Outcome::Empty => return,
            Outcome::Dispatched => {}
            // Node reports the exception; what has come meanwhile is for the next turn.
            Outcome::Thrown => break,
        }
    }
    Wake(state.wake).call();
}

enum Outcome {
    Dispatched,
    Empty,
    Thrown,
}

fn dispatch_once(env: sys::napi_env, dispatch: sys::napi_value, state: &State) -> Outcome {
    let arguments = catch_unwind(AssertUnwindSafe(|| {
        let mut batch = state.batch.borrow_mut();
        match state.io.borrow().as_ref() {
            Some(io) => io.take(&mut batch),
            None => return Err(Outcome::Empty),
        }
        if batch.is_empty() {
            return Err(Outcome::Empty);
        }
        // SAFETY: on the environment's thread inside a handle scope.
        let arguments = unsafe { values(env, &batch) };
        batch.clear();
        // Without memory for a string the batch is lost; the next wake must not be.
        arguments.ok_or(Outcome::Thrown)
    }));
    let arguments = match arguments {
        Ok(Ok(arguments)) => arguments,
        Ok(Err(outcome)) => return outcome,
        Err(_) => return Outcome::Thrown,
    };
    let (mut this, mut result) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: as above. No borrow is held: the dispatcher calls back into this bridge.
    let status = unsafe {
        sys::napi_get_undefined(env, &mut this);
        sys::napi_call_function(
            env,
            this,
            dispatch,
            arguments.len(),
            arguments.as_ptr(),
            &mut result,
        )
    };
    if status == sys::Status::napi_ok {
        return Outcome::Dispatched;
    }
    report(env);
    Outcome::Thrown
}

/// Hands a pending exception to Node as an uncaught one, which also clears the async hook stack that the throw left.
/// (Left pending here, Node only warns of it: `--force-node-api-uncaught-exceptions-policy`.)
fn report(env: sys::napi_env) {
    let (mut pending, mut exception) = (false, ptr::null_mut());
    // SAFETY: on the environment's thread inside a handle scope.
    unsafe {
        sys::napi_is_exception_pending(env, &mut pending);
        if pending {
            sys::napi_get_and_clear_last_exception(env, &mut exception);
            sys::napi_fatal_exception(env, exception);
        }
    }
}

/// The batch as the dispatcher's arguments; `None` when Node has no memory for it.
unsafe fn values(env: sys::napi_env, batch: &Batch) -> Option<[sys::napi_value; 2]> {
    let (mut text, mut chunks) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the caller is on the environment's thread inside a handle scope; every pointer is a live local.
    unsafe {
        let len = batch.text.len() as isize;
        let status =
            sys::napi_create_string_latin1(env, batch.text.as_ptr().cast(), len, &mut text);
        if status != sys::Status::napi_ok {
            return None;
        }
        sys::napi_get_undefined(env, &mut chunks);
        if !batch.chunks.is_empty() {
            sys::napi_create_array_with_length(env, batch.chunks.len(), &mut chunks);
            for (index, piece) in batch.chunks.iter().enumerate() {
                let (mut buffer, mut data) = (ptr::null_mut(), ptr::null_mut());
                let made = sys::napi_create_buffer_copy(
                    env,
                    piece.len(),
                    piece.as_ptr().cast(),
                    &mut data,
                    &mut buffer,
                );
                if made != sys::Status::napi_ok {
                    return None;
                }
                sys::napi_set_element(env, chunks, index as u32, buffer);
            }
        }
    }
    Some([text, chunks])
}

/// Batches that JavaScript takes before the event loop has a turn.
const BATCHES_A_TURN: usize = 8;
