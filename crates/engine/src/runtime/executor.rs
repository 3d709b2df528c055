//! The tasks of an I/O thread: what is ready runs in the order in which it was woken, on the thread that spawned it.
//!
//! The thread waits in one place, for its sockets and until its next timer is due (`io_thread.rs` has that loop). A runtime
//! with a driver of its own would have a set of its own, around ours: two calls of the system for each wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{self, Future};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::task::{Context, Poll, Waker};
use std::thread;

use async_task::{Runnable, Task};
use slab::Slab;

thread_local! {
    static TASKS: Tasks = const { Tasks::new() };
}

struct Tasks {
    ready: RefCell<VecDeque<Runnable>>,
    /// Those that have not ended.
    alive: RefCell<Slab<Option<Task<()>>>>,
    /// What the task that runs now may still do.
    budget: Cell<u32>,
}

impl Tasks {
    const fn new() -> Self {
        Self {
            ready: RefCell::new(VecDeque::new()),
            alive: RefCell::new(Slab::new()),
            budget: Cell::new(0),
        }
    }

    fn next(&self) -> Option<Runnable> {
        self.ready.borrow_mut().pop_front()
    }

    /// Runs what is ready, so many tasks at most. A task that panics has ended: its hook has reported it, and whoever it
    /// served is gone with it.
    fn run(&self, most: usize) {
        for _ in 0..most {
            let Some(task) = self.next() else { return };
            self.budget.set(BUDGET);
            let _ = catch_unwind(AssertUnwindSafe(|| task.run()));
        }
    }
}

/// The place of a task among those that live.
struct Place(usize);

impl Drop for Place {
    fn drop(&mut self) {
        let task = TASKS.with(|tasks| tasks.alive.borrow_mut().remove(self.0));
        if let Some(task) = task {
            task.detach();
        }
    }
}

/// The task that waits for something, as whoever brings that about knows it.
#[derive(Default)]
pub(crate) struct TaskWaker(RefCell<Option<Waker>>);

impl TaskWaker {
    /// It is the task of this context.
    pub fn note(&self, cx: &Context<'_>) {
        let mut known = self.0.borrow_mut();
        if known.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *known = Some(cx.waker().clone());
        }
    }

    /// It goes on behind the tasks that are ready now.
    pub fn wake(&self) {
        if let Some(waker) = self.0.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Nobody waits any more.
    pub fn forget(&self) {
        self.0.take();
    }
}

/// Runs a future on this thread, behind the tasks that are ready now. It is woken on this thread only: another one asks
/// through the crossing.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    TASKS.with(|tasks| {
        let place = Place(tasks.alive.borrow_mut().insert(None));
        let at = place.0;
        let placed = async move {
            let _place = place;
            future.await;
        };
        let schedule = |runnable| TASKS.with(|tasks| tasks.ready.borrow_mut().push_back(runnable));
        let (runnable, task) = async_task::spawn_local(placed, schedule);
        tasks.alive.borrow_mut()[at] = Some(task);
        runnable.schedule();
    });
}

/// The same for what the thread is nothing without.
pub(crate) fn spawn_critical(future: impl Future<Output = ()> + 'static) {
    spawn(async move {
        let _abort = AbortOnPanic;
        future.await;
    });
}

/// Whoever has this must not panic: without the acceptor, or the I/O thread's loop and some of its tasks, a process that
/// looks alive would serve nobody. One that has ended has a successor.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// Runs a turn: what is ready, but not for so long that nobody looks at the sockets.
pub(crate) fn run_turn() {
    TASKS.with(|tasks| tasks.run(TURN));
}

/// Runs all that are ready now.
pub(crate) fn run_ready() {
    TASKS.with(|tasks| {
        let count = tasks.ready.borrow().len();
        tasks.run(count);
    });
}

/// Whether a task could run now.
pub(crate) fn is_busy() -> bool {
    TASKS.with(|tasks| !tasks.ready.borrow().is_empty())
}

/// Ends all tasks where they stand: the thread ends.
pub(crate) fn cancel_all() {
    TASKS.with(|tasks| {
        let alive: Vec<_> =
            tasks.alive.borrow_mut().iter_mut().filter_map(|(_, task)| task.take()).collect();
        // A task that is dropped is ready once more, in which it ends.
        drop(alive);
        while is_busy() {
            run_ready();
        }
    });
}

/// Goes on behind the tasks that are ready now.
pub(crate) async fn yield_now() {
    let mut is_behind = false;
    future::poll_fn(|cx| {
        if std::mem::replace(&mut is_behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether the task that asks may go on with what has no end of its own; else it goes on behind the others.
pub(crate) fn poll_budget(cx: &Context<'_>) -> Poll<()> {
    TASKS.with(|tasks| match tasks.budget.get() {
        0 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        left => {
            tasks.budget.set(left - 1);
            Poll::Ready(())
        }
    })
}

/// Tasks that run before the sockets are looked at again.
const TURN: usize = 64;
/// Reads and writes of a task before others have their turn, where it does not count them itself.
const BUDGET: u32 = 128;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::rc::Rc;

    use super::*;

    /// Says to the process that it is the one to panic.
    const PANICS: &str = "MONOCEROS_TEST_PANICS";

    /// Says what has happened so far.
    #[derive(Clone, Default)]
    struct Said(Rc<RefCell<Vec<&'static str>>>);

    impl Said {
        fn say(&self, word: &'static str) {
            self.0.borrow_mut().push(word);
        }

        fn so_far(&self) -> Vec<&'static str> {
            self.0.borrow().clone()
        }
    }

    /// Says so when it is dropped.
    struct AtEnd(Said);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            self.0.say("dropped");
        }
    }

    fn live() -> usize {
        TASKS.with(|tasks| tasks.alive.borrow().len())
    }

    #[test]
    fn tasks_run_in_the_order_in_which_they_were_woken() {
        let said = Said::default();
        for (first, second) in [("a1", "a2"), ("b1", "b2")] {
            let said = said.clone();
            spawn(async move {
                said.say(first);
                yield_now().await;
                said.say(second);
            });
        }
        run_ready();
        assert_eq!(said.so_far(), ["a1", "b1"]);
        assert!(is_busy());
        run_turn();
        assert_eq!(said.so_far(), ["a1", "b1", "a2", "b2"]);
        assert!(!is_busy());
        assert_eq!(live(), 0);
    }

    #[test]
    fn a_task_that_panics_ends_alone() {
        let said = Said::default();
        let (end, other) = (AtEnd(said.clone()), said.clone());
        spawn(async move {
            let _end = end;
            panic!("as a fault of ours would");
        });
        spawn(async move { other.say("other") });
        run_turn();
        assert_eq!(said.so_far(), ["dropped", "other"]);
        assert_eq!(live(), 0);
    }

    #[test]
    fn a_critical_task_that_panics_ends_the_process() {
        if std::env::var_os(PANICS).is_some() {
            spawn_critical(async { panic!("as a fault of ours would") });
            return run_turn();
        }
        let child = process::Command::new(std::env::current_exe().expect("this runs"))
            .args([
                "--exact",
                "runtime::executor::tests::a_critical_task_that_panics_ends_the_process",
            ])
            .env(PANICS, "1")
            .output()
            .expect("it can run again");
        assert_eq!(child.status.signal(), Some(libc::SIGABRT));
    }

    #[test]
    fn a_turn_has_an_end() {
        let count = Rc::new(Cell::new(0));
        let counts = count.clone();
        spawn(async move {
            loop {
                counts.set(counts.get() + 1);
                yield_now().await;
            }
        });
        run_turn();
        assert_eq!(count.get(), TURN);
        cancel_all();
        assert!(!is_busy());
        assert_eq!(live(), 0);
    }

    #[test]
    fn at_the_end_nothing_is_left_of_those_that_wait() {
        let said = Said::default();
        let end = AtEnd(said.clone());
        spawn(async move {
            let _end = end;
            future::pending::<()>().await;
        });
        run_turn();
        assert_eq!(said.so_far(), [""; 0]);
        cancel_all();
        assert_eq!(said.so_far(), ["dropped"]);
        assert_eq!(live(), 0);
    }

    #[test]
    fn a_task_that_would_read_for_ever_lets_others_have_their_turn() {
        let reads = Rc::new(Cell::new(0));
        let counts = reads.clone();
        spawn(future::poll_fn(move |cx| {
            while poll_budget(cx).is_ready() {
                counts.set(counts.get() + 1);
            }
            Poll::<()>::Pending
        }));
        run_ready();
        assert_eq!(reads.get(), BUDGET);
        run_ready();
        assert_eq!(reads.get(), 2 * BUDGET);
        cancel_all();
    }
}
