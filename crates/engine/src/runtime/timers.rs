//! The timers of an I/O thread's own tasks. The deadlines of connections are in the wheel, which one of them turns.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use crate::server::context::Context;

/// Who waits until when. Their number breaks ties.
#[derive(Default)]
pub(crate) struct Timers {
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    count: Cell<u64>,
}

impl Timers {
    fn until(&self, until: Instant) -> Sleep<'_> {
        let number = self.count.get();
        self.count.set(number + 1);
        Sleep { timers: self, until, number }
    }

    /// How long nobody has to be woken.
    pub fn time_until_next(&self, now: Instant) -> Option<Duration> {
        let (until, _) = *self.waiting.borrow().first_key_value()?.0;
        Some(until.saturating_duration_since(now))
    }

    /// Wakes those whose time has come.
    pub fn wake_due(&self, now: Instant) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(first) = waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            first.remove().wake();
        }
    }
}

/// A wait for a time.
pub(crate) struct Sleep<'a> {
    timers: &'a Timers,
    until: Instant,
    number: u64,
}

/// Waits so long, from now on.
pub(crate) fn sleep(ctx: &Context, time: Duration) -> Sleep<'_> {
    ctx.timers.until(Instant::now() + time)
}

/// What the future comes to, if it does within the time.
pub(crate) async fn with_timeout<T>(
    ctx: &Context,
    time: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(ctx, time));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let key = (self.until, self.number);
        self.timers.waiting.borrow_mut().insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.timers.waiting.borrow_mut().remove(&(self.until, self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_whose_time_has_come_are_woken_and_the_next_one_is_known() {
        let timers = Timers::default();
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let mut sleeps = [60_000, 30_000, 30_000].map(|ms| Box::pin(timers.until(after(ms))));
        let mut cx = TaskContext::from_waker(Waker::noop());
        for sleep in &mut sleeps {
            assert!(sleep.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(timers.time_until_next(begin), Some(Duration::from_secs(30)));
        timers.wake_due(after(29_999));
        assert_eq!(timers.waiting.borrow().len(), 3);
        timers.wake_due(after(30_000));
        assert_eq!(timers.time_until_next(after(31_000)), Some(Duration::from_secs(29)));
        assert_eq!(timers.time_until_next(after(61_000)), Some(Duration::ZERO));
        drop(sleeps);
        assert_eq!(timers.time_until_next(begin), None);
    }
}
