//! Bytes on their way out of a stream: h2 holds them until the client's windows let them go, and they say when they have
//! gone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::{Buf, Bytes};

/// What has been handed to h2 of one answer and not gone.
pub(crate) struct UnsentBytes {
    bytes: Cell<usize>,
    /// Some have gone since the last look.
    sent: Cell<usize>,
    slot: usize,
    totals: Rc<ConnectionUnsent>,
}

/// The same of a whole connection.
#[derive(Default)]
pub(crate) struct ConnectionUnsent {
    bytes: Cell<usize>,
    /// Places of those of whom everything has gone.
    sent_slots: RefCell<Vec<usize>>,
}

impl ConnectionUnsent {
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Places whose last byte has gone since the last call.
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

    /// How many have gone since the last call.
    pub fn take_sent(&self) -> usize {
        self.sent.take()
    }

    /// Makes them something that counts itself.
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

/// A piece of an answer's body.
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

/// A stream that is reset lets go of what it had.
impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.unsent.subtract(self.bytes.len());
    }
}
