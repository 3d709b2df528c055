//! Counts the response bytes of a stream that h2 holds until the client's flow-control windows
//! admit them. The counters report when the last byte has been sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::{Buf, Bytes};

/// Number of bytes of one response that h2 has taken and not sent yet.
pub(crate) struct UnsentBytes {
    bytes: Cell<usize>,
    /// Bytes that h2 has sent since the last call of [`Self::take_sent`].
    newly_sent: Cell<usize>,
    /// Slot of the stream in the table of streams.
    slot: usize,
    /// Counters of the connection, which are updated too.
    connection: Rc<ConnectionUnsent>,
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
    pub fn new(slot: usize, connection: Rc<ConnectionUnsent>) -> Rc<Self> {
        Rc::new(Self { bytes: Cell::new(0), newly_sent: Cell::new(0), slot, connection })
    }

    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Returns the number of bytes sent since the last call.
    pub fn take_sent(&self) -> usize {
        self.newly_sent.take()
    }

    /// Wraps `bytes` so that they are counted until h2 has sent or dropped them.
    pub fn wrap(self: &Rc<Self>, bytes: Bytes) -> CountedBytes {
        let connection = &self.connection;
        self.bytes.set(self.bytes.get() + bytes.len());
        connection.bytes.set(connection.bytes.get() + bytes.len());
        CountedBytes { bytes, counter: self.clone() }
    }

    fn subtract(&self, count: usize) {
        if count == 0 {
            return;
        }
        let left = self.bytes.get() - count;
        self.bytes.set(left);
        let connection = &self.connection;
        connection.bytes.set(connection.bytes.get() - count);
        if left == 0 {
            connection.sent_slots.borrow_mut().push(self.slot);
        }
    }
}

/// A chunk of a response body that updates the counters while h2 sends it.
pub(crate) struct CountedBytes {
    bytes: Bytes,
    counter: Rc<UnsentBytes>,
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
        self.counter.newly_sent.set(self.counter.newly_sent.get() + count);
        self.counter.subtract(count);
    }
}

/// h2 drops the unsent chunks of a stream that is reset.
impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.counter.subtract(self.bytes.len());
    }
}
