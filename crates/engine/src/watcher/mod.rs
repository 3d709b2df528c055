//! The watcher: a thread that monitors the event loop of a worker.
//!
//! When the loop has not turned for a while, the watcher reports to the arbiter what the JavaScript
//! thread is doing: its stack, or the system call it waits in, and the requests in flight. It
//! writes to the channel itself, since that thread is blocked. It never terminates the worker: the
//! arbiter does.
//!
//! The caller supplies the way to request the stack. The thread costs some pages of memory, and no
//! processor time while the loop turns. Another V8 isolate, which could request the stack by
//! itself, would cost ten megabytes.

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

/// A handle to the watcher, held by the watched thread.
#[derive(Clone)]
pub struct Watcher(Arc<WatcherState>);

struct WatcherState {
    started_at: Instant,
    /// When the event loop turned last, in milliseconds since `started_at`.
    beat_ms: AtomicU64,
    stack: Mutex<Option<String>>,
    stack_submitted: Condvar,
}

impl Watcher {
    /// Starts watching. After `timeout` without a beat, the watcher's thread calls `request_stack`,
    /// which makes the watched thread call `submit_stack` as soon as it can. The report is written
    /// to `channel` as one line of JSON.
    pub fn start(
        timeout: Duration,
        channel: File,
        request_stack: impl Fn(&Self) + Send + 'static,
    ) -> io::Result<Self> {
        let watcher = Self(Arc::new(WatcherState {
            started_at: Instant::now(),
            beat_ms: AtomicU64::new(0),
            stack: Mutex::new(None),
            stack_submitted: Condvar::new(),
        }));
        let watching = watcher.clone();
        thread::Builder::new()
            .name("watcher".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || watching.run(timeout, channel, request_stack))?;
        Ok(watcher)
    }

    /// Records that the event loop turns.
    pub fn beat(&self) {
        self.0.beat_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Submits the stack of the watched thread, which calls this itself.
    pub fn submit_stack(&self, stack: String) {
        *self.stack() = Some(stack);
        self.0.stack_submitted.notify_all();
    }

    fn run(&self, timeout: Duration, mut channel: File, request_stack: impl Fn(&Self)) -> ! {
        loop {
            let beat_ms = self.0.beat_ms.load(Ordering::Relaxed);
            let deadline = Duration::from_millis(beat_ms) + timeout;
            if let Some(remaining) =
                deadline.checked_sub(self.0.started_at.elapsed()).filter(|left| !left.is_zero())
            {
                thread::sleep(remaining);
                continue;
            }
            self.report(&mut channel, &request_stack);
            // One report for each time the loop is blocked.
            while self.0.beat_ms.load(Ordering::Relaxed) == beat_ms {
                thread::sleep(RECOVERY_POLL_INTERVAL);
            }
        }
    }

    fn report(&self, channel: &mut File, request_stack: &impl Fn(&Self)) {
        self.stack().take();
        request_stack(self);
        let mut stack = self.wait_for_stack(FIRST_STACK_WAIT);
        let mut call = if stack.is_none() { describe_system_call() } else { None };
        // A busy thread is sometimes seen waiting for the helper threads of its own garbage
        // collection. A stuck thread does not begin new waits.
        let is_futex = |call: &String| call.starts_with("futex");
        for _ in 0..MAX_FUTEX_CHECKS {
            if stack.is_some() || call.as_ref().is_some_and(|call| !is_futex(call)) {
                break;
            }
            let waits = count_waits();
            stack = self.wait_for_stack(NEXT_STACK_WAIT);
            call = if stack.is_none() { describe_system_call() } else { None };
            if call.as_ref().is_none_or(is_futex) && count_waits() == waits {
                break;
            }
            call = call.filter(|call| !is_futex(call));
        }
        let requests = in_flight_requests(REQUEST_LIST_WAIT);
        if stack.is_none() && call.is_none() {
            write_report(channel, false, None, None, &requests);
            stack = self.wait_for_stack(NATIVE_CODE_WAIT);
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
        self.0.started_at.elapsed().as_millis() as u64
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
    message.list("requests", requests.iter().take(MAX_REPORTED_REQUESTS), |object, request| {
        object.text("request", Some(request.request.as_bytes()));
        object.plain("ageMs", request.age.as_millis());
    });
    message.end();
    line.push(b'\n');
    // The arbiter has exited or does not read: there is no recipient.
    let _ = channel.write_all(&line);
}

/// How long to wait for a stack before looking for a system call. A thread in a system call submits
/// no stack.
const FIRST_STACK_WAIT: Duration = Duration::from_millis(100);
/// How much longer to wait for a stack while the thread waits on futexes. A stack comes within
/// milliseconds; a thread that submits none in this time does not run JavaScript.
const NEXT_STACK_WAIT: Duration = Duration::from_millis(300);
/// How many times a thread that waits on a futex is examined.
const MAX_FUTEX_CHECKS: usize = 3;
/// How long to wait for native code that V8 does not interrupt: JSON.parse of the longest possible
/// string ends within this time.
const NATIVE_CODE_WAIT: Duration = Duration::from_secs(8);
/// How long to wait for the I/O thread to list the requests in flight.
const REQUEST_LIST_WAIT: Duration = Duration::from_millis(200);
/// Maximum number of requests in a report. A short write to a socket pair is not interleaved with
/// others, and a reader needs no more.
const MAX_REPORTED_REQUESTS: usize = 50;
/// The interval of the checks whether the event loop turns again.
const RECOVERY_POLL_INTERVAL: Duration = Duration::from_millis(200);
const THREAD_STACK_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn start_watcher(
        request_stack: impl Fn(&Watcher) + Send + 'static,
    ) -> (Watcher, impl Iterator<Item = io::Result<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let channel = File::from(OwnedFd::from(theirs));
        let watcher = Watcher::start(Duration::from_millis(50), channel, request_stack).unwrap();
        (watcher, BufReader::new(ours).lines())
    }

    #[test]
    fn a_stack_is_reported_once_for_each_block() {
        let (watcher, mut lines) =
            start_watcher(|watcher| watcher.submit_stack("at here".to_owned()));
        let expected = concat!(
            r#"{"type":"blocked","isFinal":true,"stack":"at here","#,
            r#""systemCall":null,"requests":[]}"#
        );
        for _ in 0..2 {
            watcher.beat();
            assert_eq!(lines.next().unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn without_a_stack_the_system_call_is_reported() {
        // The first thread of a test program waits for the others.
        let (_watcher, mut lines) = start_watcher(|_| {});
        let line = lines.next().unwrap().unwrap();
        assert!(
            line.starts_with(r#"{"type":"blocked","isFinal":true,"stack":null,"systemCall":""#),
            "{line}"
        );
    }
}
