//! Moves a loop between two threads: the JavaScript thread, which holds it for one turn at a time,
//! and the I/O thread, which holds it until it gives it back.
//!
//! Between the turns of the JavaScript thread, no thread holds the loop. That thread must then turn
//! for whatever wakes the poll set and for whatever JavaScript writes.

use super::movable::{Held, Movable};
use super::sync::{AtomicBool, Ordering};

/// What the hand-over needs from its surroundings.
pub(crate) trait Signals {
    /// Notifies other threads that the loop sleeps, and that a wake must reach the sleeper. Returns
    /// whether nothing was left for the loop before.
    fn prepare_sleep(&self, sleeper: Sleeper) -> bool;
    /// Takes the last call back.
    fn end_sleep(&self);
    /// Notes that something was left for the loop, and wakes the poll set if the loop sleeps.
    fn wake(&self);
    /// Whether something was left for the loop.
    fn has_work(&self) -> bool;
    /// Makes the poll set readable.
    fn wake_poller(&self);
    /// Makes JavaScript look for events.
    fn wake_javascript(&self);
}

/// Who must act when a sleeping loop has something to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sleeper {
    /// The I/O thread holds the loop and waits for the poll set.
    IoThread,
    /// No thread holds the loop: the JavaScript thread runs its next turn.
    JavaScript,
}

/// A loop that moves between two threads.
pub(crate) struct Handover<T> {
    value: Movable<T>,
    /// Whether JavaScript's event loop watches the poll set.
    is_polled: AtomicBool,
}

impl<T> Handover<T> {
    /// Wraps a loop that no thread holds, and whose poll set JavaScript does not watch.
    pub fn new(value: Movable<T>) -> Self {
        Self { value, is_polled: AtomicBool::new(false) }
    }

    /// Takes the loop, unless a thread holds it.
    pub fn try_hold(&self) -> Option<Held<'_, T>> {
        self.value.try_hold()
    }

    /// Runs a turn on the JavaScript thread. `None` if the I/O thread holds the loop.
    pub fn try_turn<R>(&self, turn: impl FnOnce(&T) -> R) -> Option<R> {
        self.try_hold().map(|held| turn(&held))
    }

    /// Runs a turn on the JavaScript thread for what it has left for the loop, or wakes the I/O
    /// thread. `None` if the I/O thread does it.
    pub fn turn_or_wake<R>(&self, signals: &impl Signals, turn: impl Fn(&T) -> R) -> Option<R> {
        self.try_turn(&turn).or_else(|| {
            signals.wake();
            // The I/O thread may have given the loop back just before. It looks for a wake after
            // that: either it sees this one, or this thread gets the loop now.
            self.try_turn(turn)
        })
    }

    /// Runs a turn on the JavaScript thread because the poll set is readable. While the I/O thread
    /// holds the loop, JavaScript stops to watch the poll set: `watch` starts and stops that.
    pub fn turn_or_stop_polling<R>(
        &self,
        turn: impl Fn(&T) -> R,
        watch: impl Fn(bool),
    ) -> Option<R> {
        self.try_turn(&turn).or_else(|| {
            self.set_polled(false, &watch);
            // The I/O thread may have given the loop back before it could see that.
            let result = self.try_turn(turn);
            if result.is_some() {
                self.set_polled(true, &watch);
            }
            result
        })
    }

    /// Notes whether JavaScript watches the poll set, and calls `watch` to begin or end it.
    pub fn set_polled(&self, on: bool, watch: impl Fn(bool)) {
        watch(on);
        self.is_polled.store(on, Ordering::SeqCst);
    }

    /// Gives the loop back to the JavaScript thread. Returns it if something is left to do. With
    /// `needs_turn`, the JavaScript thread runs a turn soon.
    pub fn give_back<'a>(
        &self,
        held: Held<'a, T>,
        signals: &impl Signals,
        needs_turn: bool,
    ) -> Option<Held<'a, T>> {
        if !signals.prepare_sleep(Sleeper::JavaScript) {
            signals.end_sleep();
            return Some(held);
        }
        drop(held);
        // From here on the JavaScript thread can turn. What it left before, and could not turn for,
        // it has noted by now.
        if needs_turn || signals.has_work() {
            signals.wake_poller();
        }
        if !self.is_polled.load(Ordering::SeqCst) {
            signals.wake_javascript();
        }
        None
    }
}
