//! The task executor of a loop. Ready tasks run in the order in which they were woken, on the
//! thread that holds the loop.
//!
//! That thread waits in one place, for its sockets and for its next timer (the loop is in
//! `server/io_thread/event_loop.rs`). A runtime with a driver of its own would wrap a second epoll
//! set around ours: two system calls for each wait.
#![allow(unsafe_code, reason = "the tasks of a loop move between two threads with it")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use async_task::{Runnable, Task};
use slab::Slab;

/// The tasks of one loop. They run on whichever thread holds the loop at the time.
#[derive(Default)]
pub(crate) struct Executor {
    /// Tasks to run next, in this order.
    ready: RefCell<VecDeque<Runnable>>,
    /// Tasks that have not finished.
    unfinished: RefCell<Slab<Option<Task<()>>>>,
    /// Reads and writes that the running task has left in this turn.
    budget: OperationBudget,
}

/// The number of reads and writes that the running task has left in this turn. The sockets share it
/// with the executor.
#[derive(Clone, Default)]
pub(crate) struct OperationBudget(Rc<Cell<u32>>);

impl OperationBudget {
    /// Charges one operation to the running task's budget, as tokio's `coop` does. Without budget
    /// left it returns `Pending` and schedules the task after the other ready ones. Call it in
    /// loops that a fast client could keep running forever.
    pub fn poll_operation(&self, cx: &Context<'_>) -> Poll<()> {
        match self.0.get() {
            0 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            left => {
                self.0.set(left - 1);
                Poll::Ready(())
            }
        }
    }
}

impl Executor {
    /// Returns the budget that this executor refills for each task that it runs.
    pub fn budget(&self) -> OperationBudget {
        self.budget.clone()
    }

    /// Runs a future after the tasks that are ready now. Only the thread that holds the loop may
    /// wake it; other threads send a message over the bridge.
    pub fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) {
        let index = self.unfinished.borrow_mut().insert(None);
        let entry = TaskEntry { executor: self.clone(), index };
        let tracked = async move {
            let _entry = entry;
            future.await;
        };
        let executor = self.clone();
        let schedule = move |runnable| executor.ready.borrow_mut().push_back(runnable);
        // SAFETY: the future and the scheduler are used on more than one thread, though they are
        // not `Send`. Everything that can reach them belongs to the loop (the executor, and the
        // wakers in sockets, timers and connections), and only the thread that holds the loop
        // touches any of it (`runtime/movable.rs`). Both are `'static`.
        let (runnable, task) = unsafe { async_task::spawn_unchecked(tracked, schedule) };
        self.unfinished.borrow_mut()[index] = Some(task);
        runnable.schedule();
    }

    /// Runs up to `MAX_TASKS_PER_TURN` ready tasks, so that the sockets do not wait for long.
    pub fn run_turn(&self) {
        self.run(MAX_TASKS_PER_TURN);
    }

    /// Runs each task that is ready now once.
    pub fn run_ready(&self) {
        let count = self.ready.borrow().len();
        self.run(count);
    }

    /// Whether a task is ready to run.
    pub fn has_ready_tasks(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Cancels all tasks, because the loop stops.
    pub fn cancel_all(&self) {
        let unfinished: Vec<_> =
            self.unfinished.borrow_mut().iter_mut().filter_map(|(_, task)| task.take()).collect();
        // Dropping a task schedules it once more; in that run it drops its future.
        drop(unfinished);
        while self.has_ready_tasks() {
            self.run_ready();
        }
    }

    /// Runs at most `limit` ready tasks. A task that panics is over: the panic hook has reported
    /// it, and only the client that it served is affected.
    fn run(&self, limit: usize) {
        for _ in 0..limit {
            let Some(task) = self.ready.borrow_mut().pop_front() else { return };
            self.budget.0.set(OPERATIONS_PER_TURN);
            let _ = catch_unwind(AssertUnwindSafe(|| task.run()));
        }
    }
}

/// The entry of a task among the unfinished ones; dropping it removes the task.
struct TaskEntry {
    executor: Rc<Executor>,
    index: usize,
}

impl Drop for TaskEntry {
    fn drop(&mut self) {
        let task = self.executor.unfinished.borrow_mut().remove(self.index);
        if let Some(task) = task {
            task.detach();
        }
    }
}

/// The waker of the task that waits for an event, held by the code that causes the event.
#[derive(Default)]
pub(crate) struct TaskWaker(RefCell<Option<Waker>>);

impl TaskWaker {
    /// Stores the waker of the task that this context belongs to.
    pub fn register(&self, cx: &Context<'_>) {
        let mut registered = self.0.borrow_mut();
        if registered.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *registered = Some(cx.waker().clone());
        }
    }

    /// Schedules the task after the tasks that are ready now.
    pub fn wake(&self) {
        if let Some(waker) = self.0.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Forgets the task: none waits any more.
    pub fn clear(&self) {
        self.0.take();
    }
}

/// Aborts the process if the thread panics while this guard is held. Without the acceptor or the
/// I/O loop, a process would look alive and serve no client. The arbiter replaces a process that
/// has exited.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// Tasks that run before the sockets are polled again.
const MAX_TASKS_PER_TURN: usize = 64;
/// Reads and writes of a task in one turn, where the task does not limit them itself.
const OPERATIONS_PER_TURN: u32 = 128;

#[cfg(test)]
mod tests {
    use std::future;
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// Set in the environment of the process that is to panic.
    const PANICS: &str = "MONOCEROS_TEST_PANICS";

    /// Records what has happened so far.
    #[derive(Clone, Default)]
    struct EventLog(Rc<RefCell<Vec<&'static str>>>);

    impl EventLog {
        fn record(&self, event: &'static str) {
            self.0.borrow_mut().push(event);
        }

        fn so_far(&self) -> Vec<&'static str> {
            self.0.borrow().clone()
        }
    }

    /// Records "dropped" when it is dropped.
    struct RecordsDrop(EventLog);

    impl Drop for RecordsDrop {
        fn drop(&mut self) {
            self.0.record("dropped");
        }
    }

    /// Lets the tasks that are ready now run first.
    async fn yield_now() {
        let mut has_yielded = false;
        future::poll_fn(|cx| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn unfinished_count(executor: &Executor) -> usize {
        executor.unfinished.borrow().len()
    }

    #[test]
    fn tasks_run_in_the_order_in_which_they_were_woken() {
        let executor = Rc::new(Executor::default());
        let events = EventLog::default();
        for (first, second) in [("a1", "a2"), ("b1", "b2")] {
            let events = events.clone();
            executor.spawn(async move {
                events.record(first);
                yield_now().await;
                events.record(second);
            });
        }
        executor.run_ready();
        assert_eq!(events.so_far(), ["a1", "b1"]);
        assert!(executor.has_ready_tasks());
        executor.run_turn();
        assert_eq!(events.so_far(), ["a1", "b1", "a2", "b2"]);
        assert!(!executor.has_ready_tasks());
        assert_eq!(unfinished_count(&executor), 0);
    }

    #[test]
    fn a_task_that_panics_ends_alone() {
        let executor = Rc::new(Executor::default());
        let events = EventLog::default();
        let (end, other) = (RecordsDrop(events.clone()), events.clone());
        executor.spawn(async move {
            let _end = end;
            panic!("as a fault of ours would");
        });
        executor.spawn(async move { other.record("other") });
        executor.run_turn();
        assert_eq!(events.so_far(), ["dropped", "other"]);
        assert_eq!(unfinished_count(&executor), 0);
    }

    #[test]
    fn a_panic_of_the_loop_ends_the_process() {
        if std::env::var_os(PANICS).is_some() {
            let _abort = AbortOnPanic;
            panic!("as a fault of ours would");
        }
        let child = process::Command::new(std::env::current_exe().expect("this runs"))
            .args(["--exact", "runtime::executor::tests::a_panic_of_the_loop_ends_the_process"])
            .env(PANICS, "1")
            .output()
            .expect("it can run again");
        assert_eq!(child.status.signal(), Some(libc::SIGABRT));
    }

    #[test]
    fn a_turn_is_bounded() {
        let executor = Rc::new(Executor::default());
        let count = Rc::new(Cell::new(0));
        let counts = count.clone();
        executor.spawn(async move {
            loop {
                counts.set(counts.get() + 1);
                yield_now().await;
            }
        });
        executor.run_turn();
        assert_eq!(count.get(), MAX_TASKS_PER_TURN);
        executor.cancel_all();
        assert!(!executor.has_ready_tasks());
        assert_eq!(unfinished_count(&executor), 0);
    }

    #[test]
    fn cancelling_drops_the_tasks_that_wait() {
        let executor = Rc::new(Executor::default());
        let events = EventLog::default();
        let end = RecordsDrop(events.clone());
        executor.spawn(async move {
            let _end = end;
            future::pending::<()>().await;
        });
        executor.run_turn();
        assert_eq!(events.so_far(), [""; 0]);
        executor.cancel_all();
        assert_eq!(events.so_far(), ["dropped"]);
        assert_eq!(unfinished_count(&executor), 0);
    }

    #[test]
    fn a_task_without_budget_yields() {
        let executor = Rc::new(Executor::default());
        let reads = Rc::new(Cell::new(0));
        let (counts, budget) = (reads.clone(), executor.budget());
        executor.spawn(future::poll_fn(move |cx| {
            while budget.poll_operation(cx).is_ready() {
                counts.set(counts.get() + 1);
            }
            Poll::<()>::Pending
        }));
        executor.run_ready();
        assert_eq!(reads.get(), OPERATIONS_PER_TURN);
        executor.run_ready();
        assert_eq!(reads.get(), 2 * OPERATIONS_PER_TURN);
        executor.cancel_all();
    }
}
