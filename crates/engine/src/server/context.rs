//! The state that all tasks of one I/O thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::bridge::event_batch::EventBatch;
use crate::bridge::handoff::Handoff;
use crate::buffers::heap_trim::HeapTrimmer;
use crate::exchange::request_head::RequestHead;
use crate::exchange::response_sink::ResponseSink;
use crate::http1::date::Date;
use crate::log::access::AccessLog;
use crate::log::statsd::Statsd;
use crate::pressure::admission::Admission;
use crate::pressure::limits::{
    IDLE_DRAIN_TIME, Limits, MAX_BODY_CREDIT, MAX_BURST, MIN_BODY_CREDIT, MIN_BURST,
    TOTAL_BODY_CREDIT, TOTAL_BURST, fair_share,
};
use crate::pressure::memory::Memory;
use crate::pressure::settings::Settings;
use crate::runtime::executor::TaskWaker;
use crate::runtime::slot_map::SlotMap;
use crate::runtime::sockets::SocketSet;
use crate::runtime::timers::Timers;
use crate::runtime::wheel::TimerWheel;
use crate::server::connection::{BodyBuffering, ConnectionState, LogInfo, TableEntry};
use crate::transport::tls::{Handshakes, TlsServer};

/// Shared state of an I/O thread: limits, connections, events for JavaScript, logs and clocks.
pub(crate) struct Context {
    /// Limits of servers that have no limits of their own.
    pub limits: Rc<Limits>,
    /// Limits of servers that have their own, by server id.
    server_limits: RefCell<HashMap<u32, Rc<Limits>>>,
    /// TLS configuration of each server, by server id.
    tls_servers: RefCell<HashMap<u32, Rc<TlsServer>>>,
    pub handshakes: Handshakes,
    /// Servers whose application listens to `'clientError'`; most applications do not.
    refusal_listeners: RefCell<Vec<u32>>,
    /// Whether JavaScript receives a connection at its accept instead of with its first request.
    pub announces_at_accept: bool,
    pub handoff: Arc<Handoff>,
    pub access_log: RefCell<Option<AccessLog>>,
    /// Log data of finished exchanges, whose buffers new exchanges reuse.
    #[expect(
        clippy::vec_box,
        reason = "it moves in and out of an exchange, which has none without a log"
    )]
    pub spare_log_info: RefCell<Vec<Box<LogInfo>>>,
    /// Process id, read from the system once.
    pub pid: u32,
    pub statsd: RefCell<Option<Statsd>>,
    /// Events of this turn, until the flusher delivers them.
    pub batch: RefCell<EventBatch>,
    /// Whether the batch has an event that JavaScript is woken for.
    is_batch_due: Cell<bool>,
    /// Signals that the batch has events that may wait to be batched with others.
    pub batching_delay_started: Notify,
    /// Whether every event wakes JavaScript: an application that closed a server waits for the ends
    /// of its connections.
    pub delivers_at_once: Cell<bool>,
    pub flusher: TaskWaker,
    /// Exchanges in flight, by id.
    pub exchanges: RefCell<SlotMap<Rc<dyn ResponseSink>>>,
    /// Number of connections with a complete response that is not sent yet.
    pub unsent_responses: Cell<usize>,
    /// Number of HTTP/2 requests that wait for admission until their client reads more.
    pub waiting_streams: Cell<usize>,
    /// Requests that wait for their bodies before they are dispatched.
    pub body_buffering: BodyBuffering,
    pub memory: Memory,
    pub admission: Admission,
    pub connections: RefCell<SlotMap<TableEntry>>,
    pub sockets: Rc<SocketSet>,
    /// The head that the guard has just read; valid until the task that read it returns.
    pub parsed_head: RefCell<RequestHead>,
    /// Buffer that sockets are read into, so that an idle connection needs none.
    pub read_scratch: RefCell<Box<[u8]>>,
    pub date: RefCell<Date>,
    pub wheel: RefCell<TimerWheel>,
    pub timers: Timers,
    /// Wakes the clock task, which stops while there are no connections.
    pub connection_opened: Notify,
    pub is_draining: Cell<bool>,
    /// How long idle connections are kept while the worker drains.
    pub idle_drain: Cell<Duration>,
    /// Number of exchanges that are tunnels.
    pub tunnel_count: Cell<usize>,
    /// Number of tunnel chunks in the current batch.
    pub tunnel_chunks: Cell<usize>,
    pub heap_trimmer: HeapTrimmer,
    /// Connections to wake after the ring has been read.
    pub to_wake: RefCell<Vec<Rc<ConnectionState>>>,
    /// Connections that wait until JavaScript has taken the events emitted so far.
    pub awaiting_javascript: RefCell<Vec<Rc<ConnectionState>>>,
    /// Starts reading the ring every millisecond while JavaScript works on a batch.
    pub ring_watch: Notify,
    /// Whether the thread is stopping.
    pub is_stopping: Cell<bool>,
    /// Whether the thread has slept, or run for a while, since the clock was read.
    pub is_clock_stale: Cell<bool>,
    now: Cell<Instant>,
    now_ms: Cell<u64>,
    started: Instant,
}

impl Context {
    pub fn new(
        limits: Limits,
        announces_at_accept: bool,
        handoff: Arc<Handoff>,
        (access_log, statsd): (Option<AccessLog>, Option<Statsd>),
        sockets: SocketSet,
    ) -> Self {
        let memory = Memory::new(&limits);
        let admission = Admission::new();
        Self {
            memory,
            admission,
            handshakes: Handshakes::new(limits.settings.limit_handshakes as usize),
            limits: Rc::new(limits),
            refusal_listeners: RefCell::default(),
            server_limits: RefCell::default(),
            tls_servers: RefCell::default(),
            announces_at_accept,
            handoff,
            access_log: RefCell::new(access_log),
            spare_log_info: RefCell::default(),
            pid: std::process::id(),
            statsd: RefCell::new(statsd),
            batch: RefCell::default(),
            is_batch_due: Cell::new(false),
            batching_delay_started: Notify::new(),
            delivers_at_once: Cell::new(false),
            flusher: TaskWaker::default(),
            exchanges: RefCell::default(),
            unsent_responses: Cell::new(0),
            waiting_streams: Cell::new(0),
            body_buffering: BodyBuffering::default(),
            connections: RefCell::default(),
            sockets: Rc::new(sockets),
            parsed_head: RefCell::default(),
            read_scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            date: RefCell::new(Date::now()),
            wheel: RefCell::new(TimerWheel::new(0)),
            timers: Timers::default(),
            connection_opened: Notify::new(),
            is_draining: Cell::new(false),
            idle_drain: Cell::new(IDLE_DRAIN_TIME),
            tunnel_count: Cell::new(0),
            tunnel_chunks: Cell::new(0),
            heap_trimmer: HeapTrimmer::default(),
            to_wake: RefCell::default(),
            awaiting_javascript: RefCell::default(),
            ring_watch: Notify::new(),
            is_stopping: Cell::new(false),
            is_clock_stale: Cell::new(true),
            now: Cell::new(Instant::now()),
            now_ms: Cell::new(0),
            started: Instant::now(),
        }
    }

    /// Returns the limits of a server's connections.
    pub fn limits_of(&self, server_id: u32) -> Rc<Limits> {
        self.server_limits.borrow().get(&server_id).unwrap_or(&self.limits).clone()
    }

    /// Sends the settings of a server to the thread that requested them.
    pub fn report_settings(&self, server_id: u32, reply: &SyncSender<Settings>) {
        // The thread may have stopped waiting.
        let _ = reply.try_send(self.limits_of(server_id).settings.clone());
    }

    /// Sets the limits of a server and of its open connections; `None` removes them.
    pub fn set_limits(&self, server_id: u32, limits: Option<Limits>) {
        let Some(limits) = limits.map(Rc::new) else {
            self.server_limits.borrow_mut().remove(&server_id);
            self.set_reports_refusals(server_id, false);
            return;
        };
        for (_, entry) in self.connections.borrow_mut().iter_mut() {
            if entry.belongs_to(server_id) {
                entry.set_limits(&limits);
            }
        }
        self.server_limits.borrow_mut().insert(server_id, limits);
    }

    /// Returns the TLS configuration for new connections of a server.
    pub fn tls_of(&self, server_id: u32) -> Option<Rc<TlsServer>> {
        self.tls_servers.borrow().get(&server_id).cloned()
    }

    /// Sets the TLS configuration of a server; `None` removes it.
    pub fn set_tls(&self, server_id: u32, server: Option<TlsServer>) {
        match server {
            Some(server) => self.tls_servers.borrow_mut().insert(server_id, Rc::new(server)),
            None => self.tls_servers.borrow_mut().remove(&server_id),
        };
    }

    /// Sets whether JavaScript is notified of requests to a server that the engine refuses.
    pub fn set_reports_refusals(&self, server_id: u32, on: bool) {
        let mut listeners = self.refusal_listeners.borrow_mut();
        listeners.retain(|each| *each != server_id);
        if on {
            listeners.push(server_id);
        }
    }

    /// Whether JavaScript is notified of requests to a server that the engine refuses.
    pub fn reports_refusals(&self, server_id: u32) -> bool {
        self.refusal_listeners.borrow().contains(&server_id)
    }

    /// Number of requests in flight, including complete responses that are not sent yet.
    pub fn in_flight(&self) -> usize {
        self.exchanges.borrow().len() - self.waiting_streams.get() + self.unsent_responses.get()
    }

    /// Whether there is no connection and no handshake.
    pub fn has_no_connections(&self) -> bool {
        self.connections.borrow().len() == 0 && self.handshakes.len() == 0
    }

    /// Returns the time of this turn. It is read once after each sleep and each batch, because a
    /// request needs it several times.
    pub fn now(&self) -> Instant {
        if self.is_clock_stale.get() {
            self.refresh_clock();
        }
        self.now.get()
    }

    /// Reads the clock again.
    pub fn refresh_clock(&self) {
        self.is_clock_stale.set(false);
        let now = Instant::now();
        self.now.set(now);
        self.now_ms.set(self.to_clock_ms(now));
        self.date.borrow_mut().refresh();
    }

    /// Milliseconds since the thread started: the clock of the deadlines.
    pub fn now_ms(&self) -> u64 {
        if self.is_clock_stale.get() {
            self.refresh_clock();
        }
        self.now_ms.get()
    }

    /// Converts a time to the clock of the deadlines.
    pub fn to_clock_ms(&self, time: Instant) -> u64 {
        time.duration_since(self.started).as_millis() as u64
    }

    /// Returns the time `after` from now on the clock of the deadlines.
    pub fn deadline(&self, after: Duration) -> u64 {
        self.now_ms() + after.as_millis() as u64
    }

    /// Counts a finished request. `us` is the time from its head to the end of the response.
    pub fn count_finished_request(&self, status: u16, bytes_in: u64, bytes_out: u64, us: u64) {
        self.handoff.slot.request_finished(status, bytes_in, bytes_out, us);
        // Status 0: the client disconnected before a response began.
        if status != 0
            && let Some(statsd) = self.statsd.borrow_mut().as_mut()
        {
            statsd.record_request(status, Duration::from_micros(us));
        }
    }

    /// Whether the access log has lines that have not been written.
    pub fn has_unwritten_log_lines(&self) -> bool {
        self.access_log.borrow().as_ref().is_some_and(AccessLog::has_unwritten)
    }

    /// Writes the logs at the end of the thread. A slow reader of the access log has
    /// [`LOG_FLUSH_TIME`].
    pub fn flush_logs_before_exit(&self) {
        let until = Instant::now() + LOG_FLUSH_TIME;
        self.flush_logs();
        while self.has_unwritten_log_lines() && Instant::now() < until {
            thread::sleep(LOG_POLL_INTERVAL);
            self.flush_logs();
        }
    }

    /// Writes the buffered lines of the access log and the samples of statsd.
    pub fn flush_logs(&self) {
        if let Some(access) = self.access_log.borrow_mut().as_mut() {
            access.flush();
        }
        if let Some(statsd) = self.statsd.borrow_mut().as_mut() {
            statsd.flush();
        }
    }

    /// Maximum bytes of one request body that may be on their way to JavaScript.
    pub fn max_body_credit(&self) -> usize {
        let most = if self.memory.is_near_limit() { MIN_BODY_CREDIT } else { MAX_BODY_CREDIT };
        fair_share(TOTAL_BODY_CREDIT, self.exchanges.borrow().len(), MIN_BODY_CREDIT, most)
    }

    /// Maximum bytes of a response that are sent before other connections have their turn: with
    /// hundreds of fast readers, none must wait for megabytes of each.
    pub fn max_burst(&self) -> usize {
        fair_share(TOTAL_BURST, self.exchanges.borrow().len(), MIN_BURST, MAX_BURST)
    }

    /// Whether more than one request is in flight; a tunnel counts if it has sent something.
    pub fn has_several_requests(&self) -> bool {
        self.exchanges.borrow().len() - self.tunnel_count.get() + self.tunnel_chunks.get() > 1
    }

    /// Adds events to the batch. The flusher delivers it after the tasks that are ready now.
    pub fn emit(&self, add: impl FnOnce(&mut EventBatch)) {
        add(&mut self.batch.borrow_mut());
        if !self.is_batch_due.replace(true) {
            self.flusher.wake();
        }
    }

    /// Adds events that may wait up to [`BATCHING_DELAY`] to be delivered with others. Waking
    /// JavaScript for the end of each short connection would cost as much as for its request.
    pub fn emit_later(&self, add: impl FnOnce(&mut EventBatch)) {
        if self.delivers_at_once.get() || self.is_batch_due.get() {
            return self.emit(add);
        }
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            self.batching_delay_started.notify_one();
        }
        add(&mut batch);
    }

    /// Whether the batch must be delivered.
    pub fn has_events_due(&self) -> bool {
        self.is_batch_due.get()
    }

    /// Delivers the events that have waited to be batched, if any still wait.
    pub fn end_batching_delay(&self) {
        if !self.batch.borrow().is_empty() && !self.is_batch_due.replace(true) {
            self.flusher.wake();
        }
    }

    /// Delivers the batch to JavaScript.
    pub fn deliver_batch(&self) {
        self.is_batch_due.set(false);
        self.handoff.deliver_batch(&mut self.batch.borrow_mut());
        let takes = self.handoff.takes();
        self.exchanges.borrow_mut().quarantine_exhausted(takes);
        self.connections.borrow_mut().quarantine_exhausted(takes);
    }
}

/// How long a connection-closed event may wait to be batched with a request.
pub(crate) const BATCHING_DELAY: Duration = Duration::from_millis(4);

/// How long the end of the thread waits for a slow reader of the access log, and how often it
/// checks.
const LOG_FLUSH_TIME: Duration = Duration::from_millis(250);
const LOG_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum bytes of one read.
const SCRATCH_BYTES: usize = 65_536;
