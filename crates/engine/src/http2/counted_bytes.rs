//! Counts the response bytes of a stream that h2 holds until the client's flow-control windows
//! admit them. The counters report when the last byte has been sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::{Buf, Bytes};

/// Number of bytes of one response that h2 has taken and not sent yet.
pub(crate) struct UnsentBytes {
    bytes: Cell<usize>,
    /// Bytes that h2 has sent since the last call of [`Self::take_sent`].
    sent: Cell<usize>,
    slot: usize,
    totals: Rc<ConnectionUnsent>,
}

/// The unsent response bytes of all streams of a connection.
#[derive(Default)]
pub(crate) struct ConnectionUnsent {
    bytes: Cell<usize>,
    /// Slots of the streams whose last byte has been sent.
    sent_slots: RefCell<Vec<usize>>,
}

impl ConnectionUnsent {
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Returns the slots of the streams whose last byte has been sent since the last call.
    pub fn take_sent_slots(&self) -> Vec<usize> {
        self.sent_slots.take()
    }
}

impl UnsentBytes {
    pub fn new(slot: usize, totals: Rc<ConnectionUnsent>) -> Rc<Self> {
        Rc::new(Self { bytes: Cell::new(0), sent: Cell::new(0), slot, totals })
    }

    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Returns the number of bytes sent since the last call.
    pub fn take_sent(&self) -> usize {
        self.sent.take()
    }

    /// Wraps `bytes` so that they are counted until h2 has sent or dropped them.
    pub fn count(self: &Rc<Self>, bytes: Bytes) -> CountedBytes {
        let totals = &self.totals;
        self.bytes.set(self.bytes.get() + bytes.len());
        totals.bytes.set(totals.bytes.get() + bytes.len());
        CountedBytes { bytes, unsent: self.clone() }
    }

    fn subtract(&self, count: usize) {
        if count == 0 {
            return;
        }
        let left = self.bytes.get() - count;
        self.bytes.set(left);
        let totals = &self.totals;
        totals.bytes.set(totals.bytes.get() - count);
        if left == 0 {
            totals.sent_slots.borrow_mut().push(self.slot);
        }
    }
}

/// A chunk of a response body that updates the counters while h2 sends it.
pub(crate) struct CountedBytes {
    bytes: Bytes,
    unsent: Rc<UnsentBytes>,
}

impl Buf for CountedBytes {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.unsent.sent.set(self.unsent.sent.get() + count);
        self.unsent.subtract(count);
    }
}

/// h2 drops the unsent chunks of a stream that is reset.
impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.unsent.subtract(self.bytes.len());
    }
}
