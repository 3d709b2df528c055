//! The loop as its two threads share it: the JavaScript thread runs it while JavaScript is calm,
//! the I/O thread while JavaScript is busy (`docs/design/runtime.md`).
#![allow(unsafe_code, reason = "the loop moves between threads, and `poll` is a system call")]

use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::event_loop::run_turns;
use crate::bridge::handoff::Handoff;
use crate::runtime::handover::{Handover, Signals};
use crate::runtime::movable::{Held, Movable};
use crate::runtime::thread_policy::ThreadProbe;
use crate::server::context::Context;

/// The loop of a JavaScript environment, and what each of its two threads must know of the other.
pub(super) struct SharedLoop {
    pub context: Handover<Rc<Context>>,
    pub handoff: Arc<Handoff>,
    /// The descriptor of the poll set: readable when a socket has an event.
    pub poll_fd: RawFd,
    pub presence: Arc<Presence>,
    /// What this thread can see of the JavaScript thread.
    pub javascript: ThreadProbe,
    pub is_stopping: AtomicBool,
    /// How often the I/O thread has taken the loop over.
    pub takeovers: AtomicU64,
    /// The time of the next timer, in microseconds since `started`; `u64::MAX` without one.
    next_deadline_us: AtomicU64,
    started: Instant,
}

/// What the JavaScript thread does, as far as the I/O thread has to know.
#[derive(Default)]
pub struct Presence {
    /// How often the thread has come back from JavaScript: to libuv's loop or to this one.
    returns: AtomicU32,
    /// How often sockets or JavaScript have given this loop something to do.
    traffic: AtomicU32,
    /// Whether the thread waits for events, or calls back for those of others.
    is_waiting: AtomicBool,
}

impl Presence {
    /// Notes that the thread is about to wait for events.
    pub fn begin_wait(&self) {
        self.is_waiting.store(true, Ordering::Release);
    }

    /// Notes that the thread has events, and calls back for them.
    pub fn end_wait(&self) {
        self.is_waiting.store(false, Ordering::Release);
    }

    /// Notes that the thread has called back for all events.
    pub fn end_callbacks(&self) {
        self.end_wait();
        self.count_return();
    }

    /// Whether the thread waits for events, or calls back for those of others.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Acquire)
    }

    pub(super) fn returns(&self) -> u32 {
        self.returns.load(Ordering::Acquire)
    }

    pub(super) fn traffic(&self) -> u32 {
        self.traffic.load(Ordering::Relaxed)
    }

    fn count_return(&self) {
        // Only this thread writes the counter.
        self.returns.store(self.returns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    fn count_traffic(&self) {
        self.traffic.store(self.traffic.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What a turn of the JavaScript thread has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnResult {
    /// The turn is over.
    Done {
        /// The time of the next timer; `None` without timers.
        next_timer: Option<Instant>,
    },
    /// The I/O thread holds the loop, and does what there is to do.
    HeldElsewhere,
}

impl From<Option<Option<Instant>>> for TurnResult {
    /// Converts the time of the next timer after a turn, if there was a turn.
    fn from(turn: Option<Option<Instant>>) -> Self {
        turn.map_or(Self::HeldElsewhere, |next_timer| Self::Done { next_timer })
    }
}

impl SharedLoop {
    /// Wraps a context, to which `context` must be the only reference outside of itself. The
    /// calling thread is the one of JavaScript.
    pub fn new(context: Rc<Context>, handoff: Arc<Handoff>, poll_fd: RawFd) -> Self {
        // SAFETY: nothing of the context is in a thread-local variable, and nothing but its own
        // tasks refers to it. What other threads have of it, the handoff, is `Sync`. The functions
        // of this module lend it for a turn, and return no part of it.
        let context = Handover::new(unsafe { Movable::new(context) });
        Self {
            context,
            handoff,
            poll_fd,
            presence: Arc::default(),
            javascript: ThreadProbe::of_this_thread(),
            is_stopping: AtomicBool::new(false),
            takeovers: AtomicU64::new(0),
            next_deadline_us: AtomicU64::new(u64::MAX),
            started: Instant::now(),
        }
    }

    /// Runs a turn on the JavaScript thread because a timer is due, unless the I/O thread holds the
    /// loop.
    pub fn turn_for_timer(&self) -> TurnResult {
        self.context.try_turn(|ctx| self.turn(ctx, false)).into()
    }

    /// Runs a turn on the JavaScript thread for what JavaScript has written or sent, or wakes the
    /// I/O thread.
    pub fn turn_or_wake(&self) -> TurnResult {
        self.presence.count_traffic();
        self.context.turn_or_wake(&*self.handoff, |ctx| self.turn(ctx, false)).into()
    }

    /// Runs a turn on the JavaScript thread because the poll set is readable. While the I/O thread
    /// holds the loop, JavaScript stops to watch the poll set: `watch` starts and stops that.
    pub fn turn_or_stop_polling(&self, watch: impl Fn(bool)) -> TurnResult {
        self.presence.count_traffic();
        self.context.turn_or_stop_polling(|ctx| self.turn(ctx, true), watch).into()
    }

    /// Runs a turn on the JavaScript thread, and watches the poll set again, if the I/O thread has
    /// given the loop back.
    pub fn turn_and_poll(&self, watch: impl Fn(bool)) -> TurnResult {
        let result = self.context.try_turn(|ctx| self.turn(ctx, true));
        if result.is_some() {
            self.context.set_polled(true, watch);
        }
        result.into()
    }

    /// Runs a turn, and returns the time of the next timer.
    fn turn(&self, ctx: &Rc<Context>, polls: bool) -> Option<Instant> {
        run_turns(ctx, polls);
        self.presence.count_return();
        let next_timer = ctx.alarms.next();
        self.publish_deadline(next_timer);
        next_timer
    }

    /// Whether a socket, a timer or a message waits for a turn.
    pub fn has_work(&self) -> bool {
        self.handoff.has_work()
            || is_readable(self.poll_fd)
            || self.now_us()
                > self.next_deadline_us.load(Ordering::Relaxed).saturating_add(TIMER_SLACK_US)
    }

    /// Whether JavaScript has nothing to do, so that it can run the loop.
    pub fn is_calm(&self) -> bool {
        self.presence.is_waiting() && !self.handoff.is_batch_out()
    }

    /// Gives the loop back to the JavaScript thread. Returns the loop if there is something to do.
    pub fn give_back<'a>(&self, held: Held<'a, Rc<Context>>) -> Option<Held<'a, Rc<Context>>> {
        let next_timer = held.alarms.next();
        self.publish_deadline(next_timer);
        // The JavaScript thread does not know of the timers that were set meanwhile.
        self.context.give_back(held, &*self.handoff, next_timer.is_some())
    }

    /// The time until the next timer is overdue; `None` without timers.
    pub fn time_until_overdue(&self) -> Option<Duration> {
        let deadline = self.next_deadline_us.load(Ordering::Relaxed);
        let overdue = deadline.checked_add(TIMER_SLACK_US)?;
        Some(Duration::from_micros(overdue.saturating_sub(self.now_us())))
    }

    fn publish_deadline(&self, next: Option<Instant>) {
        let us = next.map_or(u64::MAX, |time| {
            time.saturating_duration_since(self.started).as_micros() as u64
        });
        self.next_deadline_us.store(us, Ordering::Relaxed);
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }
}

/// Whether a descriptor is readable now.
fn is_readable(fd: RawFd) -> bool {
    wait_readable(fd, Some(Duration::ZERO))
}

/// Waits until a descriptor is readable, up to `time`, without taking its events.
pub(super) fn wait_readable(fd: RawFd, time: Option<Duration>) -> bool {
    // Rounded up, or the thread would turn without a pause in the last millisecond.
    let ms = time.map_or(-1, |time| time.as_micros().div_ceil(1_000).min(i32::MAX as u128) as i32);
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one live entry.
    unsafe { libc::poll(&raw mut entry, 1, ms) > 0 }
}

/// Time after which the I/O thread runs a timer that the JavaScript thread has not run.
const TIMER_SLACK_US: u64 = 2_000;
