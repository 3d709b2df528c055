//! The watcher in JavaScript, and how it asks the JavaScript thread for its stack while that thread is blocked: V8
//! calls a function of ours on top of whatever runs, as it does for its own inspector.
//!
//! Node-API has nothing for that, so V8's two functions are looked up by their names when the process runs: they have
//! had these names in every Node so far, and where they are missing there is no watcher of this kind.
#![allow(unsafe_code, reason = "functions of the process that is running are called by name")]

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::mem::transmute;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monoceros_engine::watcher;
use napi::bindgen_prelude::{Function, FunctionRef};
use napi::{Env, sys};
use napi_derive::napi;

use crate::system_error::system_error;

/// Stands by the event loop of this process's first thread.
#[napi]
pub struct Watcher {
    watcher: watcher::Watcher,
}

#[napi]
impl Watcher {
    /// Watches from now on, or null where V8 cannot be asked. After `timeout_ms` without a beat `stack` is called on top
    /// of what blocks the thread, and what it returns goes to the descriptor `channel_fd`.
    #[napi(catch_unwind)]
    pub fn start(
        env: Env,
        timeout_ms: u32,
        channel_fd: i32,
        stack: Function<'_, (), String>,
    ) -> napi::Result<Option<Self>, String> {
        let Some(isolate) = Isolate::current() else { return Ok(None) };
        // SAFETY: JavaScript owns the descriptor and keeps it open during the call.
        let channel = unsafe { BorrowedFd::borrow_raw(channel_fd) }
            .try_clone_to_owned()
            .map_err(|error| system_error("dup", &format!("descriptor {channel_fd}"), &error))?;
        let isolate = Arc::new(Mutex::new(Some(isolate)));
        // The isolate lives longer than the environment; afterwards nobody asks it any more.
        let asked = Arc::clone(&isolate);
        env.add_env_cleanup_hook(asked, |isolate| {
            isolate.lock().unwrap_or_else(PoisonError::into_inner).take();
        })
        .map_err(napi_error)?;
        // For the life of the process, as the thread that asks: V8 may call back at any later time.
        let stack = stack.create_ref().map_err(napi_error)?;
        let stack_request: &'static StackRequest =
            Box::leak(Box::new(StackRequest { env: env.raw(), stack }));
        let request_stack = move |watcher: &watcher::Watcher| {
            if let Some(isolate) = &*isolate.lock().unwrap_or_else(PoisonError::into_inner) {
                isolate.interrupt(InterruptData { stack_request, watcher: watcher.clone() });
            }
        };
        let timeout = Duration::from_millis(u64::from(timeout_ms));
        watcher::Watcher::start(timeout, File::from(channel), request_stack)
            .map(|watcher| Some(Self { watcher }))
            .map_err(|error| system_error("pthread_create", "", &error))
    }

    /// The event loop turns.
    #[napi(catch_unwind)]
    pub fn beat(&self) {
        self.watcher.beat();
    }
}

/// What the JavaScript thread is asked.
struct StackRequest {
    env: sys::napi_env,
    stack: FunctionRef<(), String>,
}

// SAFETY: other threads only pass the address on; the fields are used on the JavaScript thread alone, in `on_interrupt`.
unsafe impl Sync for StackRequest {}

/// One stack_request on its way.
struct InterruptData {
    stack_request: &'static StackRequest,
    watcher: watcher::Watcher,
}

/// V8's isolate of the JavaScript thread, and how it is interrupted.
struct Isolate {
    address: NonNull<c_void>,
    request_interrupt: RequestInterrupt,
}

// SAFETY: the address is only given to RequestInterrupt, which every thread may call.
unsafe impl Send for Isolate {}

type GetCurrent = unsafe extern "C" fn() -> *mut c_void;
type Callback = unsafe extern "C" fn(isolate: *mut c_void, data: *mut c_void);
type RequestInterrupt =
    unsafe extern "C" fn(isolate: *mut c_void, callback: Callback, data: *mut c_void);

impl Isolate {
    /// That of this thread; none where V8 is not found by these names.
    fn current() -> Option<Self> {
        let get_current = find_symbol(c"_ZN2v87Isolate10GetCurrentEv")?;
        let request_interrupt = find_symbol(c"_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_")?;
        // SAFETY: the mangled names hold the types of the arguments: `v8::Isolate::GetCurrent()`, static, which returns
        // a pointer, and `v8::Isolate::RequestInterrupt(void (*)(v8::Isolate*, void*), void*)`, a method that is not
        // virtual and gets its object as the first argument.
        let (address, request_interrupt) = unsafe {
            let get_current: GetCurrent = transmute(get_current.as_ptr());
            (get_current(), transmute::<*mut c_void, RequestInterrupt>(request_interrupt.as_ptr()))
        };
        Some(Self { address: NonNull::new(address)?, request_interrupt })
    }

    fn interrupt(&self, data: InterruptData) {
        let data = Box::into_raw(Box::new(data)).cast();
        // SAFETY: the isolate lives until the cleanup hook has taken it from here, under the lock that the caller holds;
        // `on_interrupt` takes the box back, or nobody does when JavaScript never runs again.
        unsafe { (self.request_interrupt)(self.address.as_ptr(), on_interrupt, data) }
    }
}

/// Called by V8 on the JavaScript thread, between two steps of what runs there.
unsafe extern "C" fn on_interrupt(_isolate: *mut c_void, data: *mut c_void) {
    // SAFETY: `interrupt` made the box for this call, and there is one call for each.
    let InterruptData { stack_request, watcher } =
        *unsafe { Box::from_raw(data.cast::<InterruptData>()) };
    // A panic must not cross V8.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Some(stack) = stack_request.stack() {
            watcher.submit_stack(stack);
        }
    }));
}

impl StackRequest {
    /// Without an on_interrupt, as when the stack is full, the watcher goes on as if JavaScript did not run.
    fn stack(&self) -> Option<String> {
        let mut scope = std::ptr::null_mut();
        // SAFETY: the environment lives, since JavaScript of its isolate runs below this call on the stack.
        let opened = unsafe { sys::napi_open_handle_scope(self.env, &mut scope) };
        if opened != sys::Status::napi_ok {
            return None;
        }
        let env = Env::from_raw(self.env);
        let stack = self.stack.borrow_back(&env).and_then(|function| function.call(())).ok();
        // SAFETY: opened above, and closed in order.
        unsafe { sys::napi_close_handle_scope(self.env, scope) };
        stack
    }
}

/// A function of the running program or of a library that it has loaded.
fn find_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: looks a name up and runs nothing.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

fn napi_error(error: napi::Error) -> napi::Error<String> {
    napi::Error::new("ERR_ENGINE_SYSTEM".to_owned(), error.reason.clone())
}
