//! The requests in hand of one connection of HTTP/2.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Instant;

use super::counted_bytes::ConnectionUnsent;
use super::exchange::StreamExchange;
use super::stream_admission::StreamAdmission;
use crate::bridge::in_flight::RequestLabel;

/// What the connection's task, the ring's task and the streams themselves share.
pub(crate) struct Streams {
    /// A place is used again once its stream has closed.
    slots: RefCell<Vec<StreamSlot>>,
    free: RefCell<Vec<usize>>,
    /// Those of which JavaScript has said something.
    dirty: RefCell<Vec<Rc<StreamExchange>>>,
    woken: Arc<WokenStreams>,
    pub(crate) totals: Rc<ConnectionUnsent>,
    pub(crate) admission: StreamAdmission,
    /// Bytes of bodies that JavaScript does not have.
    pub(crate) buffered_body_bytes: Cell<usize>,
}

struct StreamSlot {
    exchange: Option<Rc<StreamExchange>>,
    waker: Arc<StreamWaker>,
}

/// The places that h2 has woken since the last look.
#[derive(Default)]
struct WokenStreams {
    slots: Mutex<Vec<usize>>,
    task: Mutex<Option<Waker>>,
}

/// How h2 wakes one of them.
struct StreamWaker {
    slot: usize,
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
        if let Some(task) = woken.task.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            task.wake_by_ref();
        }
    }
}

impl Streams {
    pub fn new() -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            dirty: RefCell::default(),
            woken: Arc::default(),
            totals: Rc::default(),
            admission: StreamAdmission::default(),
            buffered_body_bytes: Cell::new(0),
        }
    }

    /// How many are in hand.
    pub fn len(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the client has been behind with the one with which it is furthest behind.
    pub fn lagging_since(&self) -> u64 {
        self.admission.lagging_since()
    }

    /// Those that are not answered yet.
    pub fn in_flight(&self) -> Vec<(RequestLabel, Instant)> {
        self.all().iter().filter_map(|exchange| exchange.in_flight()).collect()
    }

    /// All of them. What is done to one may close it.
    pub(crate) fn all(&self) -> Vec<Rc<StreamExchange>> {
        self.slots.borrow().iter().filter_map(|slot| slot.exchange.clone()).collect()
    }

    /// Keeps a stream that is made for its place.
    pub(crate) fn insert_with(
        &self,
        make: impl FnOnce(usize, Waker) -> Rc<StreamExchange>,
    ) -> Rc<StreamExchange> {
        let mut slots = self.slots.borrow_mut();
        let at = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let (slot, woken) = (slots.len(), self.woken.clone());
            let waker = Arc::new(StreamWaker { slot, is_queued: AtomicBool::new(false), woken });
            slots.push(StreamSlot { exchange: None, waker });
            slot
        });
        let exchange = make(at, Waker::from(slots[at].waker.clone()));
        slots[at].exchange = Some(exchange.clone());
        exchange
    }

    pub(crate) fn remove(&self, slot: usize) {
        if let Some(entry) = self.slots.borrow_mut().get_mut(slot)
            && entry.exchange.take().is_some()
        {
            self.free.borrow_mut().push(slot);
        }
    }

    /// The stream at a place: that may be another than was there when the place was noted.
    pub(crate) fn at(&self, slot: usize) -> Option<Rc<StreamExchange>> {
        self.slots.borrow().get(slot)?.exchange.clone()
    }

    /// The request of an exchange has waited for its body long enough.
    pub fn stop_buffering_body(&self, id: u32) {
        let waiting = self.all().into_iter().find(|exchange| exchange.id() == id);
        if let Some(exchange) = waiting {
            exchange.stop_buffering_body();
        }
    }

    /// The stream with a number of the connection's.
    pub(crate) fn find_by_stream_id(&self, number: u32) -> Option<Rc<StreamExchange>> {
        let slots = self.slots.borrow();
        let mut open = slots.iter().filter_map(|slot| slot.exchange.as_ref());
        open.find(|one| one.stream_id == number).cloned()
    }

    /// Says whom to wake when h2 has woken a stream.
    pub(crate) fn set_connection_waker(&self, waker: &Waker) {
        let mut task = self.woken.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// The places that h2 has woken.
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

    /// JavaScript has said something of a stream.
    pub(crate) fn push_dirty(&self, exchange: Rc<StreamExchange>) {
        self.dirty.borrow_mut().push(exchange);
    }

    pub(crate) fn take_dirty(&self) -> Vec<Rc<StreamExchange>> {
        self.dirty.take()
    }
}
