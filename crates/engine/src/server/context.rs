//! The state that all tasks of one I/O thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
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
use crate::runtime::executor::{Executor, TaskWaker};
use crate::runtime::slot_map::SlotMap;
use crate::runtime::sockets::SocketSet;
use crate::runtime::timers::Timers;
use crate::runtime::wheel::TimerWheel;
use crate::server::connection::{BodyBuffering, ConnectionState, LogInfo, TableEntry};
use crate::transport::tls::{Handshakes, TlsServer};

/// State that all tasks of one I/O thread share: limits, connections, events, logs and clocks.
pub(crate) struct Context {
    /// Default limits, for servers that have set no limits of their own.
    pub limits: Rc<Limits>,
    /// Limits that replace the default ones, by server id.
    server_limits: RefCell<HashMap<u32, Rc<Limits>>>,
    /// TLS configurations, by server id. A server without one serves plain HTTP.
    tls_servers: RefCell<HashMap<u32, Rc<TlsServer>>>,
    /// TLS handshakes in progress; `limit_handshakes` bounds their number.
    pub handshakes: Handshakes,
    /// Ids of the servers that receive an event for each refused request: `'clientError'` has a
    /// listener there.
    refusal_listeners: RefCell<Vec<u32>>,
    /// Whether JavaScript receives each connection at its accept instead of with its first request.
    pub announces_at_accept: bool,
    /// Mailboxes between this thread, the acceptor thread and the JavaScript thread.
    pub handoff: Arc<Handoff>,
    /// The access log; `None` if no access log is configured.
    pub access_log: RefCell<Option<AccessLog>>,
    /// Log data of finished exchanges, whose buffers new exchanges reuse.
    #[expect(
        clippy::vec_box,
        reason = "it moves in and out of an exchange, which has none without a log"
    )]
    pub spare_log_info: RefCell<Vec<Box<LogInfo>>>,
    /// Process id of the worker for the access log, read once because each line has it.
    pub pid: u32,
    /// The client that sends request metrics to statsd; `None` if `statsd_host` is not set.
    pub statsd: RefCell<Option<Statsd>>,
    /// Events that have not been delivered to JavaScript yet, in the order of their emission.
    pub batch: RefCell<EventBatch>,
    /// Whether `batch` has an event that must be delivered at the end of this turn.
    is_batch_due: Cell<bool>,
    /// Notified at the first event of a batch that may wait for [`BATCHING_DELAY`].
    pub batching_delay_started: Notify,
    /// Whether no event waits to be batched. True once a server has closed: its application waits
    /// for the last connection-closed event.
    pub delivers_at_once: Cell<bool>,
    /// Wakes the task that delivers `batch`.
    pub flusher: TaskWaker,
    /// Exchanges in flight, by the id that records in the ring name.
    pub exchanges: RefCell<SlotMap<Rc<dyn ResponseSink>>>,
    /// Number of complete responses that clients have not read yet. Each counts as in flight.
    pub unsent_responses: Cell<usize>,
    /// Number of HTTP/2 requests that wait for admission. They do not count as in flight.
    pub waiting_streams: Cell<usize>,
    /// Requests that are dispatched once their body is complete, or after `request_buffer_time`.
    pub body_buffering: BodyBuffering,
    /// Bytes that clients make the worker hold; `buffer_memory` bounds them.
    pub memory: Memory,
    /// Admits connections by file descriptor and by client address.
    pub admission: Admission,
    /// Open connections after the TLS handshake, idle ones included, by id.
    pub connections: RefCell<SlotMap<TableEntry>>,
    /// Runs the tasks of the connections and the permanent tasks.
    pub executor: Rc<Executor>,
    /// The poll set with the sockets of all connections.
    pub sockets: Rc<SocketSet>,
    /// The request head that the guard parsed last. It is valid until the task that parsed it
    /// returns; one head for all connections saves an allocation per request.
    pub parsed_head: RefCell<RequestHead>,
    /// Buffer that every socket is read into, so that a connection needs none of its own.
    pub read_scratch: RefCell<Box<[u8]>>,
    /// The `Date` field value of this second, rendered once for all responses.
    pub date: RefCell<Date>,
    /// The earliest deadline of each connection, by slot.
    pub wheel: RefCell<TimerWheel>,
    /// Tasks that sleep for a time.
    pub timers: Timers,
    /// Notified when a connection opens. The clock task waits for it while there are none.
    pub connection_opened: Notify,
    /// Whether the worker drains: each connection closes after its response.
    pub is_draining: Cell<bool>,
    /// How long a drain keeps idle connections open, because a request may be on its way.
    pub idle_drain: Cell<Duration>,
    /// Number of exchanges that have become tunnels: upgrades and CONNECT requests.
    pub tunnel_count: Cell<usize>,
    /// Number of chunks from tunnels in `batch`. An idle tunnel must not delay other requests.
    pub tunnel_chunks: Cell<usize>,
    /// Returns free heap memory to the system after many connections have become idle.
    pub heap_trimmer: HeapTrimmer,
    /// Connections that the ring's records have changed; they wake after the last record.
    pub to_wake: RefCell<Vec<Rc<ConnectionState>>>,
    /// Half-closed connections that wait until JavaScript has taken the events emitted so far.
    pub awaiting_javascript: RefCell<Vec<Rc<ConnectionState>>>,
    /// Notified to read the ring every millisecond while JavaScript processes a batch.
    pub ring_watch: Notify,
    /// Whether the I/O thread holds the loop, so that a wake of JavaScript is a thread switch.
    pub runs_on_io_thread: Cell<bool>,
    /// Whether the loop of the thread must stop after this turn.
    pub is_stopping: Cell<bool>,
    /// Whether `now` must be read again, because the thread has slept or finished a turn.
    pub is_clock_stale: Cell<bool>,
    /// Time of this turn, read once because a request needs it several times.
    now: Cell<Instant>,
    /// `now` in milliseconds since `started`.
    now_ms: Cell<u64>,
    /// Start of the thread, the zero of all deadlines.
    started: Instant,
}

impl Context {
    pub fn new(
        limits: Limits,
        announces_at_accept: bool,
        handoff: Arc<Handoff>,
        (access_log, statsd): (Option<AccessLog>, Option<Statsd>),
        poll: mio::Poll,
    ) -> Self {
        let executor = Rc::new(Executor::default());
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
            sockets: Rc::new(SocketSet::new(poll, executor.budget())),
            executor,
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
            runs_on_io_thread: Cell::new(true),
            is_stopping: Cell::new(false),
            is_clock_stale: Cell::new(true),
            now: Cell::new(Instant::now()),
            now_ms: Cell::new(0),
            started: Instant::now(),
        }
    }

    /// Returns the limits for connections of a server: its own, or the default ones.
    pub fn limits_of(&self, server_id: u32) -> Rc<Limits> {
        self.server_limits.borrow().get(&server_id).unwrap_or(&self.limits).clone()
    }

    /// Sets the limits of a server and of its open connections. `None` removes the limits and the
    /// listener for refusals.
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

    /// Returns the TLS configuration for new connections of a server; `None` for plain HTTP.
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

    /// Sets whether JavaScript receives an event for each request to a server that the engine
    /// refuses.
    pub fn set_reports_refusals(&self, server_id: u32, on: bool) {
        let mut listeners = self.refusal_listeners.borrow_mut();
        listeners.retain(|each| *each != server_id);
        if on {
            listeners.push(server_id);
        }
    }

    /// Whether JavaScript receives an event for each request to a server that the engine refuses.
    pub fn reports_refusals(&self, server_id: u32) -> bool {
        self.refusal_listeners.borrow().contains(&server_id)
    }

    /// Returns the number of requests in flight, including complete responses that the client has
    /// not read yet. `worker_connections` bounds it.
    pub fn in_flight(&self) -> usize {
        self.exchanges.borrow().len() - self.waiting_streams.get() + self.unsent_responses.get()
    }

    /// Whether the thread has no open connection and no TLS handshake in progress.
    pub fn has_no_connections(&self) -> bool {
        self.connections.borrow().len() == 0 && self.handshakes.len() == 0
    }

    /// Returns the time of this turn, for which the clock is read at most once.
    pub fn now(&self) -> Instant {
        if self.is_clock_stale.get() {
            self.refresh_clock();
        }
        self.now.get()
    }

    /// Reads the clock and renders the `Date` field value if the second has changed.
    pub fn refresh_clock(&self) {
        self.is_clock_stale.set(false);
        let now = Instant::now();
        self.now.set(now);
        self.now_ms.set(self.to_clock_ms(now));
        self.date.borrow_mut().refresh();
    }

    /// Returns the time of this turn in milliseconds since the thread started, as deadlines count.
    pub fn now_ms(&self) -> u64 {
        if self.is_clock_stale.get() {
            self.refresh_clock();
        }
        self.now_ms.get()
    }

    /// Converts a time to milliseconds since the thread started, as deadlines count.
    pub fn to_clock_ms(&self, time: Instant) -> u64 {
        time.duration_since(self.started).as_millis() as u64
    }

    /// Returns the deadline `after` from now, in milliseconds since the thread started.
    pub fn deadline(&self, after: Duration) -> u64 {
        self.now_ms() + after.as_millis() as u64
    }

    /// Counts a finished request on the scoreboard and for statsd. `us` is the time in microseconds
    /// from the complete head to the end of the response.
    pub fn count_finished_request(&self, status: u16, bytes_in: u64, bytes_out: u64, us: u64) {
        self.handoff.slot.request_finished(status, bytes_in, bytes_out, us);
        // Status 0 means that the client disconnected before a response began.
        if status != 0
            && let Some(statsd) = self.statsd.borrow_mut().as_mut()
        {
            statsd.record_request(status, Duration::from_micros(us));
        }
    }

    /// Whether the access log has lines that have not been written yet.
    pub fn has_unwritten_log_lines(&self) -> bool {
        self.access_log.borrow().as_ref().is_some_and(AccessLog::has_unwritten)
    }

    /// Writes the remaining log lines before the thread exits. A slow reader of the access log gets
    /// up to [`LOG_FLUSH_TIME`].
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

    /// Returns the maximum bytes of one request body that may be on their way to JavaScript: a fair
    /// share of [`TOTAL_BODY_CREDIT`].
    pub fn max_body_credit(&self) -> usize {
        let most = if self.memory.is_near_limit() { MIN_BODY_CREDIT } else { MAX_BODY_CREDIT };
        fair_share(TOTAL_BODY_CREDIT, self.exchanges.borrow().len(), MIN_BODY_CREDIT, most)
    }

    /// Returns the maximum bytes of a response that are sent before other connections have a turn.
    /// Otherwise one of hundreds of fast readers would wait for megabytes of each other one.
    pub fn max_burst(&self) -> usize {
        fair_share(TOTAL_BURST, self.exchanges.borrow().len(), MIN_BURST, MAX_BURST)
    }

    /// Whether more than one request is in flight. A tunnel counts only if `batch` has bytes of it.
    pub fn has_several_requests(&self) -> bool {
        self.exchanges.borrow().len() - self.tunnel_count.get() + self.tunnel_chunks.get() > 1
    }

    /// Adds events to the batch and schedules its delivery, after the tasks that are ready now.
    pub fn emit(&self, add: impl FnOnce(&mut EventBatch)) {
        add(&mut self.batch.borrow_mut());
        if !self.is_batch_due.replace(true) {
            self.flusher.wake();
        }
    }

    /// Adds events that may wait up to [`BATCHING_DELAY`] to be delivered with others. A wake of
    /// JavaScript for the close of a short connection costs as much as one for its request.
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

    /// Whether the batch must be delivered at the end of this turn.
    pub fn has_events_due(&self) -> bool {
        self.is_batch_due.get()
    }

    /// Schedules the delivery of events that have waited to be batched, if any still wait.
    pub fn end_batching_delay(&self) {
        if !self.batch.borrow().is_empty() && !self.is_batch_due.replace(true) {
            self.flusher.wake();
        }
    }

    /// Delivers the batch to JavaScript. Ids without an unused generation are set aside until
    /// JavaScript has taken this batch.
    pub fn deliver_batch(&self) {
        self.is_batch_due.set(false);
        self.handoff.deliver_batch(&mut self.batch.borrow_mut());
        let takes = self.handoff.takes();
        self.exchanges.borrow_mut().quarantine_exhausted(takes);
        self.connections.borrow_mut().quarantine_exhausted(takes);
    }
}

/// Maximum time that a connection-closed event waits to be batched with a request.
pub(crate) const BATCHING_DELAY: Duration = Duration::from_millis(4);

/// Maximum time to write the remaining log lines before the thread exits.
const LOG_FLUSH_TIME: Duration = Duration::from_millis(250);
/// Interval of the attempts to write them.
const LOG_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum bytes of one read.
const SCRATCH_BYTES: usize = 65_536;
