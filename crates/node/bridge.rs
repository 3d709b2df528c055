//! JavaScript's end of the bridge: the I/O loop of an environment, the pipe that wakes JavaScript
//! from another thread, and the memory of the ring.
//!
//! A byte in a pipe wakes JavaScript from the I/O thread, where a `net.Socket` reads the other end.
//! A thread-safe function would hold its mutex while it wakes JavaScript. On a busy core the woken
//! thread then blocked on that mutex at once. Each wake cost three more futex calls and two more
//! thread switches, measured.
#![allow(unsafe_code, reason = "Node-API is a C interface")]

use std::cell::RefCell;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use monoceros_engine::bridge::event_batch::{BatchPosition, BodyChunk, EventBatch};
use monoceros_engine::bridge::ring::Ring;
use monoceros_engine::buffers::borrowed::ReturnedBuffers;
use monoceros_engine::error::Error;
use monoceros_engine::log::access::AccessLog;
use monoceros_engine::log::statsd::Statsd;
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::server::io_thread::{IoThread, IoThreadOptions, LoopMode};
use monoceros_engine::transport::listener::WorkerSlot;
use napi::bindgen_prelude::Uint8Array;
use napi::{Env, sys};

use crate::borrowed;
use crate::engine::failed;
use crate::event_loop::{EventLoop, WakeFlags};
use crate::libuv::Libuv;

/// Makes writes to an end of the pipe non-blocking. A wake through a pipe costs less than through a
/// socket pair, which allocates a buffer for every byte.
fn unblocked(end: OwnedFd) -> io::Result<File> {
    // The standard library has this call for sockets only; it works on any descriptor.
    let end = UnixStream::from(end);
    end.set_nonblocking(true)?;
    Ok(File::from(OwnedFd::from(end)))
}

/// The I/O thread of an environment as its JavaScript thread holds it.
pub struct Bridge {
    state: Rc<State>,
    /// The functions that let JavaScript's event loop run the I/O loop.
    libuv: Option<Libuv>,
    /// JavaScript's end of the pipe.
    pub wake_fd: i32,
}

struct State {
    event_loop: Rc<EventLoop>,
    /// Taken from the I/O thread and being read by JavaScript.
    batch: RefCell<Taken>,
    /// What has been sent of the memory lent to the I/O thread.
    returned: Arc<ReturnedBuffers>,
    /// Keeps the ring's memory alive: the I/O thread reads it until it is joined.
    ring: RefCell<Option<Uint8Array>>,
}

#[derive(Default)]
struct Taken {
    batch: EventBatch,
    /// Where the part ends that JavaScript has.
    end: BatchPosition,
    /// How many of the batch's pieces JavaScript has.
    chunks: usize,
}

/// What JavaScript gets when it asks for a piece.
pub(crate) enum Given<T> {
    /// The piece.
    Made(T),
    /// This many chunks were copied into the caller's memory.
    Copied(u32),
}

impl Bridge {
    /// Starts the I/O thread and ties it to the environment's life.
    pub(crate) fn start(
        env: Env,
        (limits, announces_at_accept): (Limits, bool),
        (access, statsd): (Option<AccessLog>, Option<Statsd>),
        worker_slot: Option<WorkerSlot>,
        lifeline: Option<i32>,
        is_movable: bool,
        mut ring: Uint8Array,
    ) -> Result<Self, Error> {
        // SAFETY: `State` references the array until the I/O thread has been joined, and JavaScript
        // never detaches or resizes it.
        let (memory, len) = unsafe {
            let memory = ring.as_mut();
            (memory.as_mut_ptr(), memory.len())
        };
        // SAFETY: as above; a fresh ArrayBuffer is zeroed and aligned.
        let Some(reader) = (unsafe { Ring::new(memory, len) }) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        };
        let libuv = if is_movable { Libuv::find() } else { None };
        let flags = Arc::new(WakeFlags::new());
        let deferring = flags.clone();
        let (woken, waker) = io::pipe()?;
        let waker = unblocked(waker.into())?;
        let io = IoThread::start(IoThreadOptions {
            limits,
            announces_at_accept,
            ring: reader,
            worker_slot,
            lifeline,
            access,
            statsd,
            loop_mode: if libuv.is_some() { LoopMode::Movable } else { LoopMode::IoThread },
            wake_javascript: Box::new(move || {
                if !deferring.defer() {
                    // A full pipe has woken JavaScript already; a closed pipe has no reader to
                    // wake.
                    drop((&waker).write(&[1]));
                }
            }),
        })?;
        let state = Rc::new(State {
            returned: io.returned_buffers(),
            event_loop: Rc::new(EventLoop::new(io, flags)),
            batch: RefCell::default(),
            ring: RefCell::new(Some(ring)),
        });
        let context = Rc::into_raw(state.clone()).cast_mut().cast();
        // SAFETY: this runs on the environment's thread. `teardown` or `stop` gives back the count
        // leaked just above.
        unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(teardown), context) };
        Ok(Self { state, libuv, wake_fd: woken.into_raw_fd() })
    }

    /// Lets JavaScript's event loop run the I/O loop while JavaScript is calm. `run` takes the
    /// events of a turn and must not throw.
    pub(crate) fn watch(&self, env: Env, run: sys::napi_value) {
        if let Some(libuv) = self.libuv {
            self.state.event_loop.watch(libuv, env.raw(), run);
        }
    }

    /// Sends the responses in the ring.
    pub(crate) fn wake(&self) -> napi::Result<(), String> {
        self.with(|io| self.state.event_loop.wake(io))
    }

    /// Calls the I/O thread, if it lives.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&IoThread) -> T) -> napi::Result<T, String> {
        let io = self.state.event_loop.io.borrow();
        io.as_ref().map(call).ok_or_else(|| failed(Error::closed()))
    }

    /// Takes the next part of a batch, or the next batch, and passes its text to `read`. Returns
    /// `None` when nothing waits.
    pub(crate) fn take<T>(&self, env: Env, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let taken = &mut *self.state.batch.borrow_mut();
        let io = self.state.event_loop.io.borrow();
        let io = io.as_ref()?;
        if taken.end.text == taken.batch.text.len() {
            taken.batch.clear();
            taken.end = BatchPosition::default();
            self.state.event_loop.resume_polling(io);
            io.take_events(&mut taken.batch);
            borrowed::release(env, &self.state.returned);
        }
        let start = taken.end;
        taken.end = io.take_part(&mut taken.batch, start.text);
        // Whatever JavaScript has not asked for, each part begins with the first of its own pieces.
        taken.chunks = start.chunks;
        (start.text < taken.end.text).then(|| read(&taken.batch.text[start.text..taken.end.text]))
    }

    /// Copies the next short body chunks of the part that was taken last into `room`. If the next
    /// chunk is not short, passes it to `read` instead.
    pub(crate) fn chunk<T>(
        &self,
        room: &mut [u8],
        read: impl FnOnce(BodyChunk<'_>) -> T,
    ) -> Given<T> {
        let taken = &mut *self.state.batch.borrow_mut();
        let number = taken.chunks;
        let copied = taken.batch.copy_short_chunks(number, taken.end.chunks, room);
        taken.chunks += copied.max(1);
        if copied > 0 {
            return Given::Copied(copied as u32);
        }
        Given::Made(read(taken.batch.take_chunk(number)))
    }

    /// Lends a Buffer to the I/O thread as the next piece beside the ring. Returns whether it
    /// could.
    pub(crate) fn lend(&self, env: Env, chunk: sys::napi_value) -> napi::Result<bool, String> {
        let lent = borrowed::lend(env, chunk, &self.state.returned);
        let could = lent.is_some();
        self.with(|io| lent.map(|bytes| io.push_borrowed(bytes)))?;
        Ok(could)
    }

    /// Ends the I/O thread before the environment ends.
    pub(crate) fn stop(&self, env: Env) {
        let event_loop = &self.state.event_loop;
        event_loop.unwatch();
        let Some(io) = event_loop.io.borrow_mut().take() else { return };
        drop(io);
        borrowed::release(env, &self.state.returned);
        self.state.ring.borrow_mut().take();
        let context = Rc::as_ptr(&self.state);
        // SAFETY: this runs on the environment's thread. The hook has not run, or there would be no
        // I/O thread. Its count is therefore still leaked, and is given back here.
        unsafe {
            sys::napi_remove_env_cleanup_hook(env.raw(), Some(teardown), context.cast_mut().cast());
            Rc::decrement_strong_count(context);
        }
    }
}

/// The environment ends: joins the I/O thread and frees the memory.
unsafe extern "C" fn teardown(context: *mut c_void) {
    // SAFETY: the count that `Bridge::start` leaked; the hook runs once.
    let state = unsafe { Rc::from_raw(context.cast::<State>().cast_const()) };
    // A panic must not unwind into Node; the environment ends in either case.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        state.event_loop.unwatch();
        drop(state.event_loop.io.borrow_mut().take());
        // The reference cannot be deleted while the environment ends; Node frees the memory with
        // it.
        std::mem::forget(state.ring.borrow_mut().take());
    }));
}
