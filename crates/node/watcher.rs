//! The watcher as a JavaScript class, and the request for the stack of a blocked JavaScript thread.
//! V8 calls a function of the addon on top of the running code, as it does for its own inspector.
//!
//! Node-API has no such function. Therefore two functions of V8 are looked up by name at run time.
//! All Node versions so far have these names; where they are missing, there is no watcher.
#![allow(unsafe_code, reason = "functions of V8 are looked up by name and called")]

use std::ffi::c_void;
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

use crate::symbols::find_symbol;
use crate::system_error::system_error;

/// Watches the event loop of the first thread of this process.
#[napi]
pub struct Watcher {
    watcher: watcher::Watcher,
}

#[napi]
impl Watcher {
    /// Starts to watch, or returns null where V8's functions are not available. After `timeout_ms`
    /// without a heartbeat, V8 calls `stack` on top of the code that blocks the thread. The report
    /// with its return value is written to the descriptor `channel_fd`.
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
        // The isolate outlives the environment. After the cleanup hook no thread interrupts the
        // isolate.
        let cleaned_up = Arc::clone(&isolate);
        env.add_env_cleanup_hook(cleaned_up, |isolate| {
            isolate.lock().unwrap_or_else(PoisonError::into_inner).take();
        })
        .map_err(napi_error)?;
        // The reference lives as long as the process, like the watcher thread: V8 may call back at
        // any later time.
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

    /// Records a heartbeat: the event loop turns.
    #[napi(catch_unwind)]
    pub fn beat(&self) {
        self.watcher.beat();
    }
}

/// The JavaScript function that returns the stack, and its environment.
struct StackRequest {
    env: sys::napi_env,
    stack: FunctionRef<(), String>,
}

// SAFETY: other threads only pass the address on. The fields are used only on the JavaScript
// thread, in `on_interrupt`.
unsafe impl Sync for StackRequest {}

/// The data of one interrupt: the function to call and the watcher that receives its result.
struct InterruptData {
    stack_request: &'static StackRequest,
    watcher: watcher::Watcher,
}

/// V8's isolate of the JavaScript thread, and V8's function that interrupts it.
struct Isolate {
    address: NonNull<c_void>,
    request_interrupt: RequestInterrupt,
}

// SAFETY: the address is passed only to `RequestInterrupt`, which every thread may call.
unsafe impl Send for Isolate {}

type GetCurrent = unsafe extern "C" fn() -> *mut c_void;
type Callback = unsafe extern "C" fn(isolate: *mut c_void, data: *mut c_void);
type RequestInterrupt =
    unsafe extern "C" fn(isolate: *mut c_void, callback: Callback, data: *mut c_void);

impl Isolate {
    /// Returns the isolate of this thread, or `None` where V8's functions are not found.
    fn current() -> Option<Self> {
        let get_current = find_symbol(c"_ZN2v87Isolate10GetCurrentEv")?;
        let request_interrupt = find_symbol(c"_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_")?;
        // SAFETY: the mangled names include the argument types. `v8::Isolate::GetCurrent()` is
        // static and returns a pointer. `v8::Isolate::RequestInterrupt(void (*)(v8::Isolate*,
        // void*), void*)` is a non-virtual method, whose object is the first argument.
        let (address, request_interrupt) = unsafe {
            let get_current: GetCurrent = transmute(get_current.as_ptr());
            (get_current(), transmute::<*mut c_void, RequestInterrupt>(request_interrupt.as_ptr()))
        };
        Some(Self { address: NonNull::new(address)?, request_interrupt })
    }

    fn interrupt(&self, data: InterruptData) {
        let data = Box::into_raw(Box::new(data)).cast();
        // SAFETY: the isolate lives until the cleanup hook has removed it, under the lock that the
        // caller holds. `on_interrupt` takes the box back; if JavaScript never runs again, the box
        // leaks.
        unsafe { (self.request_interrupt)(self.address.as_ptr(), on_interrupt, data) }
    }
}

/// Runs on the JavaScript thread: V8 calls this between two steps of the running code.
unsafe extern "C" fn on_interrupt(_isolate: *mut c_void, data: *mut c_void) {
    // SAFETY: `interrupt` made the box for this call, and V8 calls back once for each box.
    let InterruptData { stack_request, watcher } =
        *unsafe { Box::from_raw(data.cast::<InterruptData>()) };
    // A panic must not unwind into V8.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Some(stack) = stack_request.call_stack_function() {
            watcher.submit_stack(stack);
        }
    }));
}

impl StackRequest {
    /// Calls the JavaScript function. On failure, for example after a stack overflow, it returns
    /// `None`, and the watcher continues as if JavaScript did not run.
    fn call_stack_function(&self) -> Option<String> {
        let mut scope = std::ptr::null_mut();
        // SAFETY: the environment is alive, since JavaScript of its isolate is below this call on
        // the stack.
        let opened = unsafe { sys::napi_open_handle_scope(self.env, &mut scope) };
        if opened != sys::Status::napi_ok {
            return None;
        }
        let env = Env::from_raw(self.env);
        let stack = self.stack.borrow_back(&env).and_then(|function| function.call(())).ok();
        // SAFETY: this function opened the scope above, and scopes are closed in order.
        unsafe { sys::napi_close_handle_scope(self.env, scope) };
        stack
    }
}

fn napi_error(error: napi::Error) -> napi::Error<String> {
    napi::Error::new("ERR_ENGINE_SYSTEM".to_owned(), error.reason.clone())
}
