//! The I/O loop on libuv's event loop: libuv watches the poll set, and a turn runs on the
//! JavaScript thread.
#![allow(unsafe_code, reason = "the handles of libuv are C structures")]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::process;
use std::ptr::{self, null, null_mut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Instant;

use monoceros_engine::server::io_thread::{IoThread, Presence, TurnResult};
use napi::sys;

use crate::libuv::{Libuv, UV_CHECK, UV_POLL, UV_PREPARE, UV_READABLE, UV_TIMER};

/// The I/O loop of one environment, on libuv's event loop where that is possible.
pub(crate) struct EventLoop {
    /// `None` after the environment has stopped it.
    pub io: RefCell<Option<IoThread>>,
    wake: Arc<WakeFlags>,
    /// The handles in libuv's loop; null without.
    watch: Cell<*mut Watch>,
}

/// How the loop wakes JavaScript while a turn runs on JavaScript's own thread.
pub(crate) struct WakeFlags {
    javascript: ThreadId,
    /// Whether a callback of libuv runs a turn, after which it can call JavaScript itself.
    in_callback: AtomicBool,
    /// Whether that turn has events for JavaScript.
    has_events: AtomicBool,
}

/// The handles of an environment in libuv's loop. It frees itself when libuv has closed them all.
struct Watch {
    libuv: Libuv,
    env: sys::napi_env,
    /// The JavaScript function that takes the events.
    run: sys::napi_ref,
    event_loop: Rc<EventLoop>,
    presence: Arc<Presence>,
    handles: [Handle; 4],
    /// Whether libuv watches the poll set.
    is_polling: Cell<bool>,
    /// The time that the timer is set to.
    armed: Cell<Option<Instant>>,
    /// Keeps the environment until the handles are closed.
    cleanup_hook: Cell<sys::napi_async_cleanup_hook_handle>,
    open_count: Cell<usize>,
}

/// The memory of a handle, in the size that libuv wants. Its first field is the data of our own.
struct Handle(Box<[*mut c_void]>);

impl Handle {
    fn new(libuv: &Libuv, kind: i32) -> Self {
        // SAFETY: the function only looks into a table.
        let size = unsafe { (libuv.handle_size)(kind) };
        Self(vec![null_mut(); size.div_ceil(size_of::<*mut c_void>())].into_boxed_slice())
    }

    fn as_ptr(&self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

impl WakeFlags {
    /// Creates the flags of this thread's environment.
    pub fn new() -> Self {
        Self {
            javascript: thread::current().id(),
            in_callback: AtomicBool::new(false),
            has_events: AtomicBool::new(false),
        }
    }

    /// Defers the call of JavaScript to the callback of libuv that runs this turn. Returns `false`
    /// if there is none.
    pub fn defer(&self) -> bool {
        let defers =
            self.in_callback.load(Ordering::Relaxed) && thread::current().id() == self.javascript;
        if defers {
            self.has_events.store(true, Ordering::Relaxed);
        }
        defers
    }
}

impl EventLoop {
    /// Wraps a loop that has been started with these flags.
    pub fn new(io: IoThread, wake: Arc<WakeFlags>) -> Self {
        Self { io: RefCell::new(Some(io)), wake, watch: Cell::new(null_mut()) }
    }

    /// Lets libuv watch the poll set. `run` takes the events of a turn and must not throw. If libuv
    /// refuses, the I/O thread runs the loop alone.
    pub fn watch(self: &Rc<Self>, libuv: Libuv, env: sys::napi_env, run: sys::napi_value) {
        let io = self.io.borrow();
        let Some(io) = io.as_ref() else { return };
        if let Some(watch) = Watch::start(self, libuv, (env, run), io) {
            self.watch.set(watch);
            self.resume_polling(io);
        }
    }

    /// Sends the responses in the ring, here or on the I/O thread.
    pub fn wake(&self, io: &IoThread) {
        self.arm(io.wake());
    }

    /// Watches the poll set again if the I/O thread has given the loop back.
    pub fn resume_polling(&self, io: &IoThread) {
        if let Some(watch) = self.active_watch().filter(|watch| !watch.is_polling.get()) {
            watch.arm(io.turn_and_poll(|on| watch.set_polling(on)));
        }
    }

    /// Closes the handles. libuv frees them in its loop.
    pub fn unwatch(&self) {
        let watch = self.watch.replace(null_mut());
        if !watch.is_null() {
            // SAFETY: the handles are open, since `watch` was not null, so the object lives.
            unsafe { Watch::close(watch) };
        }
    }

    /// Whether JavaScript has written records that no turn has read.
    fn has_unread_records(&self) -> bool {
        self.io.borrow().as_ref().is_some_and(IoThread::has_unread_records)
    }

    fn active_watch(&self) -> Option<&Watch> {
        // SAFETY: the object lives as long as its handles are open, and `unwatch`, which closes
        // them, clears the pointer.
        unsafe { self.watch.get().as_ref() }
    }

    fn arm(&self, result: TurnResult) {
        if let Some(watch) = self.active_watch() {
            watch.arm(result);
        }
    }

    /// Runs a turn in a callback of libuv. Returns whether JavaScript must take its events.
    fn turn(&self, watch: &Watch, turn: impl FnOnce(&IoThread) -> TurnResult) -> bool {
        let io = self.io.borrow();
        let Some(io) = io.as_ref() else { return false };
        self.wake.in_callback.store(true, Ordering::Relaxed);
        watch.arm(turn(io));
        self.wake.in_callback.store(false, Ordering::Relaxed);
        self.wake.has_events.swap(false, Ordering::Relaxed)
    }
}

impl Watch {
    /// Opens the handles in the loop of this thread's environment. `None` if libuv refuses.
    fn start(
        event_loop: &Rc<EventLoop>,
        libuv: Libuv,
        (env, run): (sys::napi_env, sys::napi_value),
        io: &IoThread,
    ) -> Option<*mut Self> {
        let (mut uv_loop, mut reference, mut hook) = (null_mut(), null_mut(), null_mut());
        let handles =
            [UV_POLL, UV_PREPARE, UV_CHECK, UV_TIMER].map(|kind| Handle::new(&libuv, kind));
        let [poll, prepare, check, timer] = handles.each_ref().map(Handle::as_ptr);
        // SAFETY: this runs on the environment's thread, whose loop this is, and the memory of the
        // handle has the size that libuv wants. A handle that was refused is not in the loop.
        let refuses = unsafe {
            sys::napi_get_uv_event_loop(env, &raw mut uv_loop) != sys::Status::napi_ok
                || (libuv.poll_init)(uv_loop.cast(), poll, io.poll_fd()) != 0
        };
        if refuses {
            return None;
        }
        // SAFETY: as above. The memory of the handles lives in `watch`, which lives until the last
        // of them is closed. Its address is the data of each, for the callbacks.
        unsafe {
            (libuv.prepare_init)(uv_loop.cast(), prepare);
            (libuv.check_init)(uv_loop.cast(), check);
            (libuv.timer_init)(uv_loop.cast(), timer);
            sys::napi_create_reference(env, run, 1, &raw mut reference);
            let watch = Box::into_raw(Box::new(Self {
                libuv,
                env,
                run: reference,
                event_loop: event_loop.clone(),
                presence: io.presence(),
                open_count: Cell::new(handles.len()),
                handles,
                is_polling: Cell::new(false),
                armed: Cell::new(None),
                cleanup_hook: Cell::new(null_mut()),
            }));
            for handle in [poll, prepare, check, timer] {
                *handle.cast::<*mut c_void>() = watch.cast();
                // The pipe keeps the process alive, not these.
                (libuv.unref)(handle);
            }
            (libuv.prepare_start)(prepare, on_prepare);
            (libuv.check_start)(check, on_check);
            let data = watch.cast();
            sys::napi_add_async_cleanup_hook(env, Some(on_environment_end), data, &raw mut hook);
            (*watch).cleanup_hook.set(hook);
            Some(watch)
        }
    }

    /// Begins or ends the watch of the poll set.
    fn set_polling(&self, on: bool) {
        let poll = self.handles[0].as_ptr();
        // SAFETY: the handle is open, and this is its loop's thread.
        unsafe {
            if on {
                (self.libuv.poll_start)(poll, UV_READABLE, on_readable);
            } else {
                (self.libuv.poll_stop)(poll);
            }
        }
        self.is_polling.set(on);
    }

    /// Sets the timer to the loop's next one, if a turn has been run.
    fn arm(&self, result: TurnResult) {
        let TurnResult::Done { next_timer } = result else { return };
        if self.armed.replace(next_timer) == next_timer {
            return;
        }
        let timer = self.handles[3].as_ptr();
        // SAFETY: the handle is open, and this is its loop's thread.
        unsafe {
            match next_timer {
                None => (self.libuv.timer_stop)(timer),
                Some(time) => {
                    let left = time.saturating_duration_since(Instant::now()).as_micros();
                    (self.libuv.timer_start)(timer, on_timer, left.div_ceil(1_000) as u64, 0)
                }
            };
        }
    }

    /// Runs a turn, and calls JavaScript if it has events.
    fn turn(&self, turn: impl FnOnce(&IoThread) -> TurnResult) {
        if self.event_loop.turn(self, turn) {
            call_javascript(self.env, self.run);
        }
    }

    /// Closes the handles.
    ///
    /// # Safety
    ///
    /// The handles of `watch` must be open.
    unsafe fn close(watch: *mut Self) {
        // SAFETY: the caller promises that the object lives. Its references belong to this
        // environment, and no handle is closed twice.
        unsafe {
            let (libuv, env, run) = ((*watch).libuv, (*watch).env, (*watch).run);
            sys::napi_delete_reference(env, run);
            for handle in (*watch).handles.each_ref().map(Handle::as_ptr) {
                (libuv.close)(handle, on_closed);
            }
        }
    }
}

/// Calls the function that takes the events, as Node calls back for its own sockets: with the
/// nextTick and promise jobs after it.
fn call_javascript(env: sys::napi_env, run: sys::napi_ref) {
    // SAFETY: this is the environment's thread, in a callback of its loop, with no JavaScript on
    // the stack. The scope is closed in order. The function catches what it throws; a failed call
    // means that the environment stops.
    unsafe {
        let (mut scope, mut function, mut global) = (null_mut(), null_mut(), null_mut());
        if sys::napi_open_handle_scope(env, &raw mut scope) != sys::Status::napi_ok {
            return;
        }
        sys::napi_get_reference_value(env, run, &raw mut function);
        sys::napi_get_global(env, &raw mut global);
        let no_context = null_mut();
        let called =
            sys::napi_make_callback(env, no_context, global, function, 0, null(), null_mut());
        if called == sys::Status::napi_pending_exception {
            // The end of a thread that is terminated. Node-API would keep it for the next call.
            let mut end = null_mut();
            sys::napi_get_and_clear_last_exception(env, &raw mut end);
        }
        sys::napi_close_handle_scope(env, scope);
    }
}

/// Returns the object that a handle belongs to.
///
/// # Safety
///
/// The handle must be one of [`Watch`], and open.
unsafe fn watch_of<'a>(handle: *mut c_void) -> &'a Watch {
    // SAFETY: the first field of a handle is its data, which `Watch::start` has set.
    unsafe { &**handle.cast::<*mut Watch>() }
}

unsafe extern "C" fn on_readable(handle: *mut c_void, _status: i32, _events: i32) {
    let _abort = AbortOnPanic;
    // SAFETY: libuv calls back for open handles only.
    let watch = unsafe { watch_of(handle) };
    watch.presence.end_wait();
    watch.turn(|io| io.turn_or_stop_polling(|on| watch.set_polling(on)));
}

unsafe extern "C" fn on_timer(handle: *mut c_void) {
    let _abort = AbortOnPanic;
    // SAFETY: libuv calls back for open handles only.
    let watch = unsafe { watch_of(handle) };
    watch.armed.set(None);
    watch.turn(IoThread::turn_for_timer);
}

unsafe extern "C" fn on_prepare(handle: *mut c_void) {
    let _abort = AbortOnPanic;
    // SAFETY: libuv calls back for open handles only.
    let watch = unsafe { watch_of(handle) };
    // As in Node, a response of a timer or an immediate is sent before the loop polls: its client,
    // in this process or another, may need it for what this poll finds.
    if watch.event_loop.has_unread_records() {
        watch.turn(IoThread::wake);
    }
    watch.presence.begin_wait();
}

unsafe extern "C" fn on_check(handle: *mut c_void) {
    // SAFETY: libuv calls back for open handles only.
    unsafe { watch_of(handle) }.presence.end_callbacks();
}

/// The environment ends: the handles must leave its loop first.
unsafe extern "C" fn on_environment_end(
    _hook: sys::napi_async_cleanup_hook_handle,
    data: *mut c_void,
) {
    // SAFETY: the hook is removed before the object is freed.
    unsafe { &*data.cast::<Watch>() }.event_loop.unwatch();
}

unsafe extern "C" fn on_closed(handle: *mut c_void) {
    // SAFETY: the object lives until its last handle is closed.
    let watch = unsafe { watch_of(handle) };
    let left = watch.open_count.get() - 1;
    watch.open_count.set(left);
    if left == 0 {
        let hook = watch.cleanup_hook.get();
        // SAFETY: the object was made by `Box::into_raw`, and nothing refers to it any more: its
        // pointer was cleared before the handles were closed. The environment still lives, because
        // the hook has kept it.
        unsafe {
            drop(Box::from_raw(ptr::from_ref(watch).cast_mut()));
            sys::napi_remove_async_cleanup_hook(hook);
        }
    }
}

/// Aborts the process if a callback panics: a panic must not unwind into libuv.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}
