//! The hand-over of the loop, in every order in which its two threads can run.
//!
//! The modules of the hand-over are compiled here once more, with shuttle's primitives instead of
//! the standard library's. The surroundings (ring, poll set, pipe) are counters.

#[path = "../src/runtime"]
mod runtime {
    pub mod sync {
        pub use shuttle::sync::atomic::{AtomicBool, Ordering};
        pub use std::sync::TryLockError;

        pub use shuttle::sync::{Mutex, MutexGuard};
    }
    #[allow(dead_code, reason = "the model needs a part of it")]
    pub mod doorbell;
    #[allow(dead_code, reason = "the model needs a part of it")]
    pub mod handover;
    #[allow(dead_code, reason = "the model needs a part of it")]
    pub mod movable;
}

use std::cell::Cell;
use std::rc::Rc;

use runtime::doorbell::Doorbell;
use runtime::handover::{Handover, Signals, Sleeper};
use runtime::movable::Movable;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::mpsc::channel;
use shuttle::thread::{self, JoinHandle};

/// What the two threads share besides the loop.
#[derive(Default)]
struct Surroundings {
    doorbell: Doorbell,
    /// Records that JavaScript has written.
    written: AtomicUsize,
    /// Whether the ring's header requests a call of JavaScript. It changes with the doorbell.
    must_call: Unscheduled,
    /// Records that the loop has read. Only the holder of the loop uses it.
    read: Unscheduled,
    /// Whether the poll set is readable: no thread looks before both threads are done.
    is_readable: Unscheduled,
    /// Whether JavaScript has been woken to look for events: as above.
    is_javascript_woken: Unscheduled,
}

/// A value at whose accesses the threads do not take turns, which would multiply the orders without
/// a difference.
type Unscheduled = std::sync::atomic::AtomicUsize;

impl Surroundings {
    fn unread(&self) -> usize {
        self.written.load(Ordering::SeqCst) - self.read.load(Ordering::SeqCst)
    }

    /// A turn of the loop, which counts itself without atomics.
    fn turn(&self, turns: &Rc<Cell<usize>>) {
        turns.set(turns.get() + 1);
        self.end_sleep();
        self.is_readable.store(0, Ordering::SeqCst);
        loop {
            self.doorbell.answer();
            self.read.store(self.written.load(Ordering::SeqCst), Ordering::SeqCst);
            if self.prepare_sleep(Sleeper::JavaScript) {
                return;
            }
            self.end_sleep();
        }
    }
}

impl Signals for Surroundings {
    fn prepare_sleep(&self, _sleeper: Sleeper) -> bool {
        self.doorbell.announce_sleep();
        self.must_call.store(1, Ordering::SeqCst);
        if self.unread() > 0 {
            self.doorbell.note();
        }
        !self.doorbell.has_rung()
    }

    fn end_sleep(&self) {
        self.doorbell.end_sleep();
        self.must_call.store(0, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.doorbell.ring() {
            self.is_readable.store(1, Ordering::SeqCst);
        }
    }

    fn has_work(&self) -> bool {
        self.doorbell.has_rung() || self.unread() > 0
    }

    fn wake_poller(&self) {
        self.is_readable.store(1, Ordering::SeqCst);
    }

    fn wake_javascript(&self) {
        self.is_javascript_woken.store(1, Ordering::SeqCst);
    }
}

fn new_loop() -> Handover<Rc<Cell<usize>>> {
    // SAFETY: nothing else refers to the value.
    Handover::new(unsafe { Movable::new(Rc::default()) })
}

/// Starts the I/O thread, which has taken the loop over and gives it back.
fn give_back(
    handover: &Arc<Handover<Rc<Cell<usize>>>>,
    around: &Arc<Surroundings>,
) -> JoinHandle<()> {
    let (handover, around) = (handover.clone(), around.clone());
    let (taken, has_taken) = channel();
    let io_thread = thread::spawn(move || {
        let mut held = handover.try_hold().unwrap();
        around.end_sleep();
        taken.send(()).unwrap();
        while let Some(kept) = handover.give_back(held, &*around, false) {
            held = kept;
            around.doorbell.answer();
            around.read.store(around.written.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    has_taken.recv().unwrap();
    io_thread
}

/// The orders of one model that a usual run of the tests takes.
const MAX_ORDERS: usize = 20_000;

/// What libuv does afterwards: it calls back for a poll set that it watches, and JavaScript looks
/// for events when it is woken. Panics if a record remains that no thread will ever read.
fn settle(handover: &Handover<Rc<Cell<usize>>>, around: &Surroundings, polls: &Cell<bool>) {
    for _ in 0..3 {
        if around.is_javascript_woken.swap(0, Ordering::SeqCst) == 1 && !polls.get() {
            let turned = handover.try_turn(|turns| around.turn(turns)).is_some();
            if turned {
                handover.set_polled(true, |on| polls.set(on));
            }
        }
        if polls.get() && around.is_readable.load(Ordering::SeqCst) == 1 {
            handover.turn_or_stop_polling(|turns| around.turn(turns), |on| polls.set(on));
        }
    }
    assert_eq!(around.unread(), 0, "a record remains in the ring");
    assert!(polls.get(), "no thread watches the poll set");
}

/// Runs a model in every order in which its threads can take turns at the accesses of atomic values
/// and locks. The hand-over only uses accesses that are sequentially consistent. Without the
/// variable `MONOCEROS_EXHAUSTIVE`, at most [`MAX_ORDERS`] are run: one model has more.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let is_exhaustive = std::env::var_os("MONOCEROS_EXHAUSTIVE").is_some();
    shuttle::check_dfs(model, (!is_exhaustive).then_some(MAX_ORDERS));
}

/// Runs a model of a give-back. `meanwhile` is what the JavaScript thread does at the same time.
fn check_give_back(
    meanwhile: impl Fn(&Handover<Rc<Cell<usize>>>, &Arc<Surroundings>, &Cell<bool>)
    + Send
    + Sync
    + 'static,
) {
    check(move || {
        let handover = Arc::new(new_loop());
        let around = Arc::new(Surroundings::default());
        let polls = Cell::new(false);
        handover.set_polled(true, |on| polls.set(on));
        around.prepare_sleep(Sleeper::JavaScript);
        let io_thread = give_back(&handover, &around);
        meanwhile(&handover, &around, &polls);
        io_thread.join().unwrap();
        settle(&handover, &around, &polls);
    });
}

#[test]
fn one_thread_holds_the_loop_at_a_time() {
    check(|| {
        let handover = Arc::new(new_loop());
        let other = handover.clone();
        let add = |handover: &Handover<Rc<Cell<usize>>>| {
            handover.try_turn(|turns| turns.set(turns.get() + 1)).is_some()
        };
        let io_thread = thread::spawn(move || add(&other));
        let added = [add(&handover), io_thread.join().unwrap()];
        let count = added.into_iter().filter(|added| *added).count();
        assert!(count > 0, "both have failed");
        assert_eq!(handover.try_turn(|turns| turns.get()), Some(count));
    });
}

#[test]
fn a_record_that_is_written_during_a_give_back_is_read() {
    check_give_back(|handover, around, _| {
        around.written.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
        if around.must_call.load(Ordering::SeqCst) == 1 {
            handover.turn_or_wake(&**around, |turns| around.turn(turns));
        }
    });
}

#[test]
fn a_poll_set_is_watched_after_a_give_back() {
    check_give_back(|handover, around, polls| {
        // A socket has an event.
        handover.turn_or_stop_polling(|turns| around.turn(turns), |on| polls.set(on));
    });
}

#[test]
fn a_message_of_a_third_thread_is_read() {
    check_give_back(|_, around, _| {
        let acceptor = around.clone();
        let acceptor = thread::spawn(move || {
            acceptor.written.fetch_add(1, Ordering::SeqCst);
            acceptor.wake();
        });
        acceptor.join().unwrap();
    });
}
