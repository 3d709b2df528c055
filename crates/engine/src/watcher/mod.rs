//! The watcher: a thread that stands by the event loop of a worker. When the loop has not turned for a while it tells
//! the arbiter, by the channel and past the blocked thread, what that thread is doing: its JavaScript stack, or the
//! system call it waits in, and the requests in hand. It never ends the worker: the arbiter does.
//!
//! How the JavaScript thread is asked is not known here. A thread costs some pages of memory and nothing while the loop
//! turns; another isolate of V8 that could ask for the stack by itself would cost ten megabytes.

mod system_call;

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::bridge::in_flight::{InFlightRequest, in_flight_requests};
use crate::log::json::JsonObject;
use system_call::{count_waits, describe_system_call};

/// A watcher as the watched thread holds it.
#[derive(Clone)]
pub struct Watcher(Arc<WatcherState>);

struct WatcherState {
    start: Instant,
    /// When the event loop turned last, in milliseconds since `start`.
    beat_ms: AtomicU64,
    stack: Mutex<Option<String>>,
    stack_submitted: Condvar,
}

impl Watcher {
    /// Begins to watch. After `timeout` without a beat `ask` is called, on the watcher's thread: it sees to it that the
    /// watched thread calls `answer` as soon as it can. What is found goes to `channel` as one line of JSON.
    pub fn start(
        timeout: Duration,
        channel: File,
        request_stack: impl Fn(&Self) + Send + 'static,
    ) -> io::Result<Self> {
        let watcher = Self(Arc::new(WatcherState {
            start: Instant::now(),
            beat_ms: AtomicU64::new(0),
            stack: Mutex::new(None),
            stack_submitted: Condvar::new(),
        }));
        let watching = watcher.clone();
        thread::Builder::new()
            .name("watcher".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || watching.watch(timeout, channel, request_stack))?;
        Ok(watcher)
    }

    /// The event loop turns.
    pub fn beat(&self) {
        self.0.beat_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The stack of the watched thread, which calls this itself.
    pub fn submit_stack(&self, stack: String) {
        *self.stack() = Some(stack);
        self.0.stack_submitted.notify_all();
    }

    fn watch(&self, timeout: Duration, mut channel: File, request_stack: impl Fn(&Self)) -> ! {
        loop {
            let beat_ms = self.0.beat_ms.load(Ordering::Relaxed);
            let late = Duration::from_millis(beat_ms) + timeout;
            if let Some(rest) =
                late.checked_sub(self.0.start.elapsed()).filter(|rest| !rest.is_zero())
            {
                thread::sleep(rest);
                continue;
            }
            self.report(&mut channel, &request_stack);
            // One report a blockade.
            while self.0.beat_ms.load(Ordering::Relaxed) == beat_ms {
                thread::sleep(RECOVERY_POLL_INTERVAL);
            }
        }
    }

    fn report(&self, channel: &mut File, request_stack: &impl Fn(&Self)) {
        self.stack().take();
        request_stack(self);
        let mut stack = self.wait_for_stack(SYSTEM_CALL_WAIT);
        let mut call = if stack.is_none() { describe_system_call() } else { None };
        // A thread that computes is at times seen waiting for the helpers of its own garbage collection. One that is stuck
        // does not begin to wait_for_stack anew.
        let is_futex = |call: &String| call.starts_with("futex");
        for _ in 0..MAX_FUTEX_CHECKS {
            if stack.is_some() || call.as_ref().is_some_and(|call| !is_futex(call)) {
                break;
            }
            let waits = count_waits();
            stack = self.wait_for_stack(STACK_WAIT);
            call = if stack.is_none() { describe_system_call() } else { None };
            if call.as_ref().is_none_or(is_futex) && count_waits() == waits {
                break;
            }
            call = call.filter(|call| !is_futex(call));
        }
        let requests = in_flight_requests(REQUESTS_WAIT);
        if stack.is_none() && call.is_none() {
            write_report(channel, false, None, None, &requests);
            stack = self.wait_for_stack(NATIVE_WAIT);
        }
        write_report(channel, true, stack.as_deref(), call.as_deref(), &requests);
    }

    fn wait_for_stack(&self, limit: Duration) -> Option<String> {
        let (mut stack, _) = self
            .0
            .stack_submitted
            .wait_timeout_while(self.stack(), limit, |stack| stack.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        stack.take()
    }

    fn stack(&self) -> MutexGuard<'_, Option<String>> {
        self.0.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.0.start.elapsed().as_millis() as u64
    }
}

/// Writes the message `blocked` of `ts/messages.ts`.
fn write_report(
    channel: &mut File,
    is_final: bool,
    stack: Option<&str>,
    call: Option<&str>,
    requests: &[InFlightRequest],
) {
    let mut line = Vec::new();
    let mut message = JsonObject::begin(&mut line);
    message.text("type", Some(b"blocked"));
    message.plain("isFinal", is_final);
    message.text("stack", stack.map(str::as_bytes));
    message.text("systemCall", call.map(str::as_bytes));
    message.list("requests", requests.iter().take(MAX_REPORTED_REQUESTS), |object, one| {
        object.text("request", Some(one.request.as_bytes()));
        object.plain("ageMs", one.age.as_millis());
    });
    message.end();
    line.push(b'\n');
    // The arbiter has gone, or reads nothing any more: nobody is there to be told.
    let _ = channel.write_all(&line);
}

/// Of a thread that sits in a system call no answer is to be expected, and this long is enough to write_report.
const SYSTEM_CALL_WAIT: Duration = Duration::from_millis(100);
/// A stack comes within milliseconds; a thread that has not stack_submitted for this long after the first wait_for_stack does not run
/// JavaScript.
const STACK_WAIT: Duration = Duration::from_millis(300);
/// A thread that waits for others is looked at so often.
const MAX_FUTEX_CHECKS: usize = 3;
/// Native code that V8 does not interrupt (JSON.parse of a text as long as texts can be) ends within this time.
const NATIVE_WAIT: Duration = Duration::from_secs(8);
/// For the I/O thread to write_report what is in hand.
const REQUESTS_WAIT: Duration = Duration::from_millis(200);
/// One write to a socket pair is not mixed with another's when it is short; nobody reads more of them.
const MAX_REPORTED_REQUESTS: usize = 50;
/// Between two looks for the end of a blockade.
const RECOVERY_POLL_INTERVAL: Duration = Duration::from_millis(200);
const THREAD_STACK_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn lines(
        request_stack: impl Fn(&Watcher) + Send + 'static,
    ) -> (Watcher, impl Iterator<Item = io::Result<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let channel = File::from(OwnedFd::from(theirs));
        let watcher = Watcher::start(Duration::from_millis(50), channel, request_stack).unwrap();
        (watcher, BufReader::new(ours).lines())
    }

    #[test]
    fn a_stack_that_comes_is_told_once_a_blockade() {
        let (watcher, mut lines) = lines(|watcher| watcher.submit_stack("at here".to_owned()));
        let expected = r#"{"type":"blocked","isFinal":true,"stack":"at here","systemCall":null,"requests":[]}"#;
        for _ in 0..2 {
            watcher.beat();
            assert_eq!(lines.next().unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn without_an_answer_the_system_call_is_told() {
        // The first thread of a test program waits for the others.
        let (_watcher, mut lines) = lines(|_| {});
        let said = lines.next().unwrap().unwrap();
        assert!(
            said.starts_with(r#"{"type":"blocked","isFinal":true,"stack":null,"systemCall":""#),
            "{said}"
        );
    }
}
