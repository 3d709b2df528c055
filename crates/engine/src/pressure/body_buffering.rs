//! Requests that wait for their bodies, for up to `request_buffer_time`.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Requests that wait for their bodies, the earliest deadline first.
#[derive(Default)]
pub(crate) struct BodyBuffering {
    queue: RefCell<VecDeque<BufferingRequest>>,
}

/// A request that may still wait. It is found by its ids at the deadline, because most requests
/// have been dispatched long before.
struct BufferingRequest {
    /// Deadline in milliseconds of the context's clock.
    until: u64,
    /// Ids of the connection and of the exchange.
    ids: (u32, u32),
}

impl BodyBuffering {
    /// Adds the request with these ids of its connection and its exchange. No request in the queue
    /// may have a later deadline.
    pub fn push(&self, until: u64, ids: (u32, u32)) {
        self.queue.borrow_mut().push_back(BufferingRequest { until, ids });
    }

    /// Removes the first request if its deadline has passed, and returns its ids.
    pub fn take_due(&self, now: u64) -> Option<(u32, u32)> {
        let mut queue = self.queue.borrow_mut();
        let is_due = queue.front().is_some_and(|first| first.until <= now);
        if is_due { queue.pop_front().map(|first| first.ids) } else { None }
    }

    /// Returns the earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.queue.borrow().front().map(|first| first.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_due_in_order() {
        let waiting = BodyBuffering::default();
        assert_eq!((waiting.next_deadline(), waiting.take_due(100)), (None, None));
        waiting.push(10, (1, 11));
        waiting.push(20, (2, 12));
        assert_eq!((waiting.next_deadline(), waiting.take_due(9)), (Some(10), None));
        assert_eq!(waiting.take_due(10), Some((1, 11)));
        assert_eq!((waiting.take_due(10), waiting.next_deadline()), (None, Some(20)));
        assert_eq!((waiting.take_due(30), waiting.next_deadline()), (Some((2, 12)), None));
    }
}
