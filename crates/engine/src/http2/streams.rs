//! The open streams of an HTTP/2 connection.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Instant;

use super::counted_bytes::ConnectionUnsent;
use super::exchange::StreamExchange;
use super::stream_admission::StreamAdmission;
use crate::exchange::ExchangeEnd;
use crate::exchange::request_label::RequestLabel;

/// The table of streams, shared by the connection's task, the task that reads the ring, and the
/// streams.
pub(crate) struct Streams {
    /// A slot is used again once its stream has closed.
    slots: RefCell<Vec<StreamSlot>>,
    free_slots: RefCell<Vec<usize>>,
    /// Streams with new commands from JavaScript.
    dirty: RefCell<Vec<Rc<StreamExchange>>>,
    woken: Arc<WokenStreams>,
    /// Response bytes of all streams that h2 has not sent.
    pub(crate) unsent: Rc<ConnectionUnsent>,
    /// Decides which requests may be passed to JavaScript.
    pub(crate) admission: StreamAdmission,
}

struct StreamSlot {
    stream: Option<Rc<StreamExchange>>,
    waker: Arc<StreamWaker>,
}

/// Slots of the streams that h2 has woken since they were last taken.
#[derive(Default)]
struct WokenStreams {
    slots: Mutex<Vec<usize>>,
    connection_waker: Mutex<Option<Waker>>,
}

/// The waker of one stream that is given to h2.
struct StreamWaker {
    slot: usize,
    /// Whether the slot is already in `woken`.
    is_queued: AtomicBool,
    woken: Arc<WokenStreams>,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::Relaxed) {
            return;
        }
        let woken = &self.woken;
        woken.slots.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
        if let Some(task) =
            woken.connection_waker.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
        {
            task.wake_by_ref();
        }
    }
}

impl Streams {
    pub fn new() -> Self {
        Self {
            slots: RefCell::default(),
            free_slots: RefCell::default(),
            dirty: RefCell::default(),
            woken: Arc::default(),
            unsent: Rc::default(),
            admission: StreamAdmission::default(),
        }
    }

    /// Returns the number of open streams.
    pub fn len(&self) -> usize {
        self.slots.borrow().len() - self.free_slots.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the time since which the client lags, on the stream that lags most.
    pub fn lagging_since(&self) -> u64 {
        self.admission.lagging_since()
    }

    /// Returns the requests whose response is not complete.
    pub fn in_flight(&self) -> Vec<(RequestLabel, Instant)> {
        self.all().iter().filter_map(|stream| stream.in_flight()).collect()
    }

    /// Returns all open streams, as copies: the caller may close streams while it iterates.
    pub(crate) fn all(&self) -> Vec<Rc<StreamExchange>> {
        self.slots.borrow().iter().filter_map(|slot| slot.stream.clone()).collect()
    }

    /// Creates a stream in a free slot.
    pub(crate) fn insert_with(
        &self,
        make: impl FnOnce(usize, Waker) -> Rc<StreamExchange>,
    ) -> Rc<StreamExchange> {
        let mut slots = self.slots.borrow_mut();
        let at = self.free_slots.borrow_mut().pop().unwrap_or_else(|| {
            let (slot, woken) = (slots.len(), self.woken.clone());
            let waker = Arc::new(StreamWaker { slot, is_queued: AtomicBool::new(false), woken });
            slots.push(StreamSlot { stream: None, waker });
            slot
        });
        let stream = make(at, Waker::from(slots[at].waker.clone()));
        slots[at].stream = Some(stream.clone());
        stream
    }

    pub(crate) fn remove(&self, slot: usize) {
        if let Some(entry) = self.slots.borrow_mut().get_mut(slot)
            && entry.stream.take().is_some()
        {
            self.free_slots.borrow_mut().push(slot);
        }
    }

    /// Returns the stream in a slot. A caller that stored the slot earlier may find another stream
    /// in it.
    pub(crate) fn get(&self, slot: usize) -> Option<Rc<StreamExchange>> {
        self.slots.borrow().get(slot)?.stream.clone()
    }

    /// Stops waiting for the body of an exchange.
    pub fn stop_buffering_body(&self, id: u32) {
        let waiting = self.all().into_iter().find(|stream| stream.id() == id);
        if let Some(stream) = waiting {
            stream.stop_buffering_body();
        }
    }

    /// Returns the stream with an identifier of this connection (RFC 9113 section 5.1.1).
    pub(crate) fn find_by_stream_id(&self, number: u32) -> Option<Rc<StreamExchange>> {
        let slots = self.slots.borrow();
        let mut open = slots.iter().filter_map(|slot| slot.stream.as_ref());
        open.find(|stream| stream.stream_id == number).cloned()
    }

    /// Stores the waker of the connection's task, which runs when h2 wakes a stream.
    pub(crate) fn set_connection_waker(&self, waker: &Waker) {
        let mut task = self.woken.connection_waker.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// Returns the slots of the streams that h2 has woken.
    pub(crate) fn take_woken_slots(&self) -> Vec<usize> {
        let taken = {
            let mut slots = self.woken.slots.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *slots)
        };
        let slots = self.slots.borrow();
        for slot in taken.iter().filter_map(|&slot| slots.get(slot)) {
            slot.waker.is_queued.store(false, Ordering::Relaxed);
        }
        taken
    }

    /// Adds a stream to those with new commands from JavaScript.
    pub(crate) fn push_dirty(&self, stream: Rc<StreamExchange>) {
        self.dirty.borrow_mut().push(stream);
    }

    pub(crate) fn take_dirty(&self) -> Vec<Rc<StreamExchange>> {
        self.dirty.take()
    }

    /// Ends all streams, because the connection is closed.
    pub fn end_all(&self, end: ExchangeEnd) {
        for stream in self.all() {
            stream.end(end);
        }
        drop(self.take_dirty());
    }
}
