//! The task executor of an I/O thread. Ready tasks run in the order in which they were woken, on
//! the thread that spawned them.
//!
//! The thread waits in one place, for its sockets and for its next timer (the loop is in
//! `server/io_thread.rs`). A runtime with a driver of its own would wrap a second epoll set around
//! ours: two system calls for each wait.

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
    /// Tasks to run next, in this order.
    ready: RefCell<VecDeque<Runnable>>,
    /// Tasks that have not finished.
    unfinished: RefCell<Slab<Option<Task<()>>>>,
    /// How many reads and writes the running task has left in this turn.
    budget: Cell<u32>,
}

impl Tasks {
    const fn new() -> Self {
        Self {
            ready: RefCell::new(VecDeque::new()),
            unfinished: RefCell::new(Slab::new()),
            budget: Cell::new(0),
        }
    }

    fn next(&self) -> Option<Runnable> {
        self.ready.borrow_mut().pop_front()
    }

    /// Runs at most `limit` ready tasks. A task that panics is over: the panic hook has reported
    /// it, and only the client that it served is affected.
    fn run(&self, limit: usize) {
        for _ in 0..limit {
            let Some(task) = self.next() else { return };
            self.budget.set(OPERATIONS_PER_TURN);
            let _ = catch_unwind(AssertUnwindSafe(|| task.run()));
        }
    }
}

/// The entry of a task among the unfinished ones; dropping it removes the task.
struct TaskEntry(usize);

impl Drop for TaskEntry {
    fn drop(&mut self) {
        let task = TASKS.with(|tasks| tasks.unfinished.borrow_mut().remove(self.0));
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

/// Runs a future on this thread, after the tasks that are ready now. Only this thread may wake it;
/// other threads send a message over the bridge.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    TASKS.with(|tasks| {
        let entry = TaskEntry(tasks.unfinished.borrow_mut().insert(None));
        let at = entry.0;
        let tracked = async move {
            let _place = entry;
            future.await;
        };
        let schedule = |runnable| TASKS.with(|tasks| tasks.ready.borrow_mut().push_back(runnable));
        let (runnable, task) = async_task::spawn_local(tracked, schedule);
        tasks.unfinished.borrow_mut()[at] = Some(task);
        runnable.schedule();
    });
}

/// Like `spawn`, for a task that the I/O thread cannot run without: a panic in it aborts the
/// process.
pub(crate) fn spawn_critical(future: impl Future<Output = ()> + 'static) {
    spawn(async move {
        let _abort = AbortOnPanic;
        future.await;
    });
}

/// Aborts the process if the thread panics while this guard is held. Without the acceptor, the I/O
/// thread's loop or one of its critical tasks, a process would look alive and serve no client. The
/// arbiter replaces a process that has exited.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// Runs up to `MAX_TASKS_PER_TURN` ready tasks, so that the sockets do not wait for long.
pub(crate) fn run_turn() {
    TASKS.with(|tasks| tasks.run(MAX_TASKS_PER_TURN));
}

/// Runs each task that is ready now once.
pub(crate) fn run_ready() {
    TASKS.with(|tasks| {
        let count = tasks.ready.borrow().len();
        tasks.run(count);
    });
}

/// Whether a task is ready to run.
pub(crate) fn has_ready_tasks() -> bool {
    TASKS.with(|tasks| !tasks.ready.borrow().is_empty())
}

/// Cancels all tasks, because the thread exits.
pub(crate) fn cancel_all() {
    TASKS.with(|tasks| {
        let unfinished: Vec<_> =
            tasks.unfinished.borrow_mut().iter_mut().filter_map(|(_, task)| task.take()).collect();
        // Dropping a task schedules it once more; in that run it drops its future.
        drop(unfinished);
        while has_ready_tasks() {
            run_ready();
        }
    });
}

/// Lets the tasks that are ready now run first.
pub(crate) async fn yield_now() {
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

/// Charges one operation to the running task's budget, as tokio's `coop` does. Without budget left
/// it returns `Pending` and schedules the task after the other ready ones. Call it in loops that a
/// fast client could keep running forever.
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

/// Tasks that run before the sockets are polled again.
const MAX_TASKS_PER_TURN: usize = 64;
/// Reads and writes of a task in one turn, where the task does not limit them itself.
const OPERATIONS_PER_TURN: u32 = 128;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::rc::Rc;

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

    fn unfinished_count() -> usize {
        TASKS.with(|tasks| tasks.unfinished.borrow().len())
    }

    #[test]
    fn tasks_run_in_the_order_in_which_they_were_woken() {
        let events = EventLog::default();
        for (first, second) in [("a1", "a2"), ("b1", "b2")] {
            let events = events.clone();
            spawn(async move {
                events.record(first);
                yield_now().await;
                events.record(second);
            });
        }
        run_ready();
        assert_eq!(events.so_far(), ["a1", "b1"]);
        assert!(has_ready_tasks());
        run_turn();
        assert_eq!(events.so_far(), ["a1", "b1", "a2", "b2"]);
        assert!(!has_ready_tasks());
        assert_eq!(unfinished_count(), 0);
    }

    #[test]
    fn a_task_that_panics_ends_alone() {
        let events = EventLog::default();
        let (end, other) = (RecordsDrop(events.clone()), events.clone());
        spawn(async move {
            let _end = end;
            panic!("as a fault of ours would");
        });
        spawn(async move { other.record("other") });
        run_turn();
        assert_eq!(events.so_far(), ["dropped", "other"]);
        assert_eq!(unfinished_count(), 0);
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
    fn a_turn_is_bounded() {
        let count = Rc::new(Cell::new(0));
        let counts = count.clone();
        spawn(async move {
            loop {
                counts.set(counts.get() + 1);
                yield_now().await;
            }
        });
        run_turn();
        assert_eq!(count.get(), MAX_TASKS_PER_TURN);
        cancel_all();
        assert!(!has_ready_tasks());
        assert_eq!(unfinished_count(), 0);
    }

    #[test]
    fn cancelling_drops_the_tasks_that_wait() {
        let events = EventLog::default();
        let end = RecordsDrop(events.clone());
        spawn(async move {
            let _end = end;
            future::pending::<()>().await;
        });
        run_turn();
        assert_eq!(events.so_far(), [""; 0]);
        cancel_all();
        assert_eq!(events.so_far(), ["dropped"]);
        assert_eq!(unfinished_count(), 0);
    }

    #[test]
    fn a_task_without_budget_yields() {
        let reads = Rc::new(Cell::new(0));
        let counts = reads.clone();
        spawn(future::poll_fn(move |cx| {
            while poll_budget(cx).is_ready() {
                counts.set(counts.get() + 1);
            }
            Poll::<()>::Pending
        }));
        run_ready();
        assert_eq!(reads.get(), OPERATIONS_PER_TURN);
        run_ready();
        assert_eq!(reads.get(), 2 * OPERATIONS_PER_TURN);
        cancel_all();
    }
}
