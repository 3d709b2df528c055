//! The timers of a loop's own tasks. The deadlines of connections are in the timer wheel, which one
//! of these tasks advances.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The pending timers with the wakers of their tasks. A serial number makes keys unique.
#[derive(Default)]
pub(crate) struct Timers {
    pending: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_serial: Cell<u64>,
}

impl Timers {
    /// Returns a future that completes after `time` from now.
    pub fn sleep(&self, time: Duration) -> Sleep<'_> {
        self.sleep_until(Instant::now() + time)
    }

    /// Returns the result of `future`, or `None` if it does not complete within `time`.
    pub async fn with_timeout<T>(
        &self,
        time: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.sleep(time));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        Sleep { timers: self, deadline, serial }
    }

    /// The time of the next timer; `None` without timers.
    pub fn next_deadline(&self) -> Option<Instant> {
        Some(self.pending.borrow().first_key_value()?.0.0)
    }

    /// The time until the next timer is due; `None` without timers.
    pub fn time_until_next(&self, now: Instant) -> Option<Duration> {
        Some(self.next_deadline()?.saturating_duration_since(now))
    }

    /// Wakes the tasks whose timers are due.
    pub fn wake_due(&self, now: Instant) {
        let mut pending = self.pending.borrow_mut();
        while let Some(first) = pending.first_entry() {
            if first.key().0 > now {
                break;
            }
            first.remove().wake();
        }
    }
}

/// Completes at a given time.
pub(crate) struct Sleep<'a> {
    timers: &'a Timers,
    deadline: Instant,
    serial: u64,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let key = (self.deadline, self.serial);
        self.timers.pending.borrow_mut().insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.timers.pending.borrow_mut().remove(&(self.deadline, self.serial));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_wake_their_tasks_and_the_next_one_is_known() {
        let timers = Timers::default();
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let mut sleeps = [60_000, 30_000, 30_000].map(|ms| Box::pin(timers.sleep_until(after(ms))));
        let mut cx = Context::from_waker(Waker::noop());
        for sleep in &mut sleeps {
            assert!(sleep.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(timers.time_until_next(begin), Some(Duration::from_secs(30)));
        timers.wake_due(after(29_999));
        assert_eq!(timers.pending.borrow().len(), 3);
        timers.wake_due(after(30_000));
        assert_eq!(timers.time_until_next(after(31_000)), Some(Duration::from_secs(29)));
        assert_eq!(timers.time_until_next(after(61_000)), Some(Duration::ZERO));
        drop(sleeps);
        assert_eq!(timers.time_until_next(begin), None);
    }
}
