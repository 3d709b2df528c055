//! The I/O thread: it watches the JavaScript thread, takes the loop over when JavaScript does not
//! come back to it, and gives it back when JavaScript is idle again.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::commands::read_ring;
use super::event_loop::{run_busy, stop};
use super::shared_loop::{SharedLoop, wait_readable};
use crate::runtime::movable::Held;
use crate::scoreboard::layout::MetricCell;
use crate::server::context::Context;

/// Which threads run the loop.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LoopMode {
    /// The I/O thread alone: JavaScript cannot watch the poll set.
    #[default]
    IoThread,
    /// The JavaScript thread while it is calm, else the I/O thread.
    Movable,
}

/// How long the I/O thread keeps the loop after it has taken it over.
struct Stay {
    time: Duration,
    most: Duration,
    given_back_at: Instant,
}

impl Stay {
    fn new(is_oversubscribed: bool) -> Self {
        let most = if is_oversubscribed { MAX_STAY_OVERSUBSCRIBED } else { MAX_STAY };
        Self { time: MIN_STAY, most, given_back_at: Instant::now() }
    }

    /// Returns the time to keep the loop. It doubles while take-overs follow each other closely, so
    /// that the loop does not go back and forth under handlers that always compute.
    fn begin(&mut self) -> Duration {
        let is_soon = self.given_back_at.elapsed() < STAY_MEMORY;
        self.time = if is_soon { (self.time * 2).min(self.most) } else { MIN_STAY };
        self.time
    }
}

/// Runs the I/O thread until the loop stops.
pub(super) fn run<'a>(shared: &'a SharedLoop, mode: LoopMode, is_oversubscribed: bool) {
    let mut stay = Stay::new(is_oversubscribed);
    while let Some(held) = await_turn(shared, mode) {
        let keeps_until = (mode == LoopMode::Movable).then(|| {
            shared.takeovers.fetch_add(1, Ordering::Relaxed);
            held.count(MetricCell::LoopTakeovers);
            Instant::now() + stay.begin()
        });
        // JavaScript may be in the middle of a batch, with unread responses.
        read_ring(&held);
        held.watch_ring();
        let max_wait = || {
            let left = keeps_until?.saturating_duration_since(Instant::now());
            Some(left.max(GIVE_BACK_INTERVAL))
        };
        let try_give_back = |held: Held<'a, Rc<Context>>| {
            if keeps_until.is_none_or(|until| until > Instant::now()) || !shared.is_calm() {
                return Some(held);
            }
            shared.give_back(held)
        };
        if let Some(held) = run_busy(held, max_wait, try_give_back) {
            return stop(&held);
        }
        stay.given_back_at = Instant::now();
    }
    // The JavaScript thread waits for this one, so it does not hold the loop.
    if let Some(held) = shared.context.try_hold() {
        stop(&held);
    }
}

/// Waits until this thread must run the loop, and takes it. Returns `None` when the loop stops.
fn await_turn(shared: &SharedLoop, mode: LoopMode) -> Option<Held<'_, Rc<Context>>> {
    let mut watch = JavascriptWatch::new(shared);
    loop {
        if shared.is_stopping.load(Ordering::SeqCst) {
            return None;
        }
        let must_take_over = mode == LoopMode::IoThread || watch.is_javascript_late();
        if must_take_over && let Some(held) = shared.context.try_hold() {
            return Some(held);
        }
        watch.wait();
    }
}

/// Notices that JavaScript does not come back to the loop although there is something to do.
struct JavascriptWatch<'a> {
    shared: &'a SharedLoop,
    returns: u32,
    traffic: u32,
    /// Checks in a row without traffic.
    quiet_ticks: u32,
    /// Checks in a row at which something was to do and JavaScript had not come back.
    late_ticks: u32,
    /// The processor time of JavaScript's thread at the first of them.
    processor_time: Duration,
}

impl<'a> JavascriptWatch<'a> {
    fn new(shared: &'a SharedLoop) -> Self {
        let presence = &shared.presence;
        let (returns, traffic) = (presence.returns(), presence.traffic());
        let processor_time = Duration::ZERO;
        Self { shared, returns, traffic, quiet_ticks: 0, late_ticks: 0, processor_time }
    }

    /// Waits for the next check: for a tick while there is traffic, else for an event.
    fn wait(&mut self) {
        let traffic = self.shared.presence.traffic();
        self.quiet_ticks = if traffic == self.traffic { self.quiet_ticks + 1 } else { 0 };
        self.traffic = traffic;
        if self.quiet_ticks < QUIET_TICKS || self.late_ticks > 0 {
            thread::park_timeout(TICK);
        } else {
            wait_readable(self.shared.poll_fd, self.shared.time_until_overdue());
            self.quiet_ticks = QUIET_TICKS - 1;
        }
    }

    /// Whether JavaScript has had time to come back, and something is to do. A thread that computes
    /// is late at once. One that waits for an event is late a little later: it may just begin its
    /// turn. One that waits for a processor comes back when it gets one, and this thread would take
    /// it away.
    fn is_javascript_late(&mut self) -> bool {
        let returns = self.shared.presence.returns();
        if returns != self.returns || !self.shared.has_work() {
            self.returns = returns;
            self.late_ticks = 0;
            return false;
        }
        let javascript = &self.shared.javascript;
        let processor_time = javascript.processor_time();
        if self.late_ticks == 0 {
            self.processor_time = processor_time;
        }
        self.late_ticks += 1;
        let computed = processor_time.saturating_sub(self.processor_time);
        if computed >= TICK / 2 {
            return self.late_ticks >= MIN_COMPUTING_TICKS;
        }
        self.late_ticks >= MAX_LATE_TICKS
            || self.late_ticks >= MIN_WAITING_TICKS && !javascript.is_runnable()
    }
}

/// Interval at which the thread checks whether JavaScript has come back, while there is traffic.
const TICK: Duration = Duration::from_millis(1);
/// Checks after which JavaScript is late if it has computed meanwhile.
const MIN_COMPUTING_TICKS: u32 = 2;
/// Checks after which JavaScript is late if it waits in a system call.
const MIN_WAITING_TICKS: u32 = 4;
/// Checks after which JavaScript is late although it waits for a processor.
const MAX_LATE_TICKS: u32 = 100;
/// Checks without traffic after which the thread sleeps until a socket has an event.
const QUIET_TICKS: u32 = 50;
/// Time for which the thread keeps the loop after a single take-over.
const MIN_STAY: Duration = Duration::from_millis(2);
/// Maximum of that time, while take-overs follow each other closely.
const MAX_STAY: Duration = Duration::from_millis(128);
/// The same with more busy threads than processors: a second thread is a loss there.
const MAX_STAY_OVERSUBSCRIBED: Duration = Duration::from_millis(32);
/// A take-over within this time of the last one makes the thread keep the loop longer.
const STAY_MEMORY: Duration = Duration::from_millis(100);
/// Interval at which the thread checks whether it can give the loop back.
const GIVE_BACK_INTERVAL: Duration = Duration::from_millis(5);
