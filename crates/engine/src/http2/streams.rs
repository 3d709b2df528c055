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
    places: RefCell<Vec<StreamSlot>>,
    free: RefCell<Vec<usize>>,
    /// Those of which JavaScript has said something.
    dirty: RefCell<Vec<Rc<StreamExchange>>>,
    woken: Arc<WokenStreams>,
    pub(crate) totals: Rc<ConnectionUnsent>,
    pub(crate) standing: StreamAdmission,
    /// Bytes of bodies that JavaScript does not have.
    pub(crate) collected: Cell<usize>,
}

struct StreamSlot {
    exchange: Option<Rc<StreamExchange>>,
    alarm: Arc<StreamWaker>,
}

/// The places that h2 has woken since the last look.
#[derive(Default)]
struct WokenStreams {
    places: Mutex<Vec<usize>>,
    task: Mutex<Option<Waker>>,
}

/// How h2 wakes one of them.
struct StreamWaker {
    place: usize,
    rung: AtomicBool,
    woken: Arc<WokenStreams>,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::Relaxed) {
            return;
        }
        let woken = &self.woken;
        woken.places.lock().unwrap_or_else(PoisonError::into_inner).push(self.place);
        if let Some(task) = woken.task.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            task.wake_by_ref();
        }
    }
}

impl Streams {
    pub fn new() -> Self {
        Self {
            places: RefCell::default(),
            free: RefCell::default(),
            dirty: RefCell::default(),
            woken: Arc::default(),
            totals: Rc::default(),
            standing: StreamAdmission::default(),
            collected: Cell::new(0),
        }
    }

    /// How many are in hand.
    pub fn len(&self) -> usize {
        self.places.borrow().len() - self.free.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the client has been behind with the one with which it is furthest behind.
    pub fn behind_since(&self) -> u64 {
        self.standing.behind_since()
    }

    /// Those that are not answered yet.
    pub fn in_hand(&self) -> Vec<(RequestLabel, Instant)> {
        self.all().iter().filter_map(|exchange| exchange.in_hand()).collect()
    }

    /// All of them. What is done to one may close it.
    pub(crate) fn all(&self) -> Vec<Rc<StreamExchange>> {
        self.places.borrow().iter().filter_map(|place| place.exchange.clone()).collect()
    }

    /// Keeps a stream that is made for its place.
    pub(crate) fn insert_with(
        &self,
        make: impl FnOnce(usize, Waker) -> Rc<StreamExchange>,
    ) -> Rc<StreamExchange> {
        let mut places = self.places.borrow_mut();
        let at = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let (place, woken) = (places.len(), self.woken.clone());
            let alarm = Arc::new(StreamWaker { place, rung: AtomicBool::new(false), woken });
            places.push(StreamSlot { exchange: None, alarm });
            place
        });
        let exchange = make(at, Waker::from(places[at].alarm.clone()));
        places[at].exchange = Some(exchange.clone());
        exchange
    }

    pub(crate) fn remove(&self, place: usize) {
        if let Some(place_of) = self.places.borrow_mut().get_mut(place)
            && place_of.exchange.take().is_some()
        {
            self.free.borrow_mut().push(place);
        }
    }

    /// The stream at a place: that may be another than was there when the place was noted.
    pub(crate) fn at(&self, place: usize) -> Option<Rc<StreamExchange>> {
        self.places.borrow().get(place)?.exchange.clone()
    }

    /// The request of an exchange has waited for its body long enough.
    pub fn stop_collecting(&self, id: u32) {
        let waiting = self.all().into_iter().find(|exchange| exchange.id() == id);
        if let Some(exchange) = waiting {
            exchange.stop_collecting();
        }
    }

    /// The stream with a number of the connection's.
    pub(crate) fn numbered(&self, number: u32) -> Option<Rc<StreamExchange>> {
        let places = self.places.borrow();
        let mut open = places.iter().filter_map(|place| place.exchange.as_ref());
        open.find(|one| one.number == number).cloned()
    }

    /// Says whom to wake when h2 has woken a stream.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = self.woken.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// The places that h2 has woken.
    pub(crate) fn take_woken(&self) -> Vec<usize> {
        let taken = {
            let mut places = self.woken.places.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *places)
        };
        let places = self.places.borrow();
        for place in taken.iter().filter_map(|&place| places.get(place)) {
            place.alarm.rung.store(false, Ordering::Relaxed);
        }
        taken
    }

    /// JavaScript has said something of a stream.
    pub(crate) fn note(&self, exchange: Rc<StreamExchange>) {
        self.dirty.borrow_mut().push(exchange);
    }

    pub(crate) fn take_dirty(&self) -> Vec<Rc<StreamExchange>> {
        self.dirty.take()
    }
}
