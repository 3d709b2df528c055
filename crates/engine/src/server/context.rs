//! What every task of one I/O thread shares.

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

/// The state of an I/O thread.
pub(crate) struct Context {
    /// What holds for servers without limits of their own.
    pub limits: Rc<Limits>,
    /// The limits of servers that have their own, by server_id.
    servers: RefCell<HashMap<u32, Rc<Limits>>>,
    /// TLS as a server does it, by server_id.
    secure_servers: RefCell<HashMap<u32, Rc<TlsServer>>>,
    pub handshakes: Handshakes,
    /// The servers whose program listens to what is refused; most have nobody who does.
    refusal_listeners: RefCell<Vec<u32>>,
    /// JavaScript hears of a connection when it is accepted, not with its first request.
    pub announce: bool,
    pub handoff: Arc<Handoff>,
    pub access: RefCell<Option<AccessLog>>,
    /// What it knew of requests that have ended: memory for the next.
    #[expect(
        clippy::vec_box,
        reason = "it moves in and out of an exchange, which has none without a log"
    )]
    pub spare_log_info: RefCell<Vec<Box<LogInfo>>>,
    /// Of this process, asked of the system once.
    pub pid: u32,
    pub statsd: RefCell<Option<Statsd>>,
    /// Events of this turn, until the flusher hands them over.
    pub batch: RefCell<EventBatch>,
    /// There is something in the batch that JavaScript is woken for.
    is_batch_due: Cell<bool>,
    /// There is something in it that may wait a while for something else to go with.
    pub batching_delay_started: Notify,
    /// JavaScript is woken for all there is: a program that has ended a server waits for its connections' ends.
    pub delivers_at_once: Cell<bool>,
    pub flusher: TaskWaker,
    /// The exchanges in hand.
    pub exchanges: RefCell<SlotMap<Rc<dyn ResponseSink>>>,
    /// Connections whose answer is complete and not sent.
    pub unsent_responses: Cell<usize>,
    /// Requests of HTTP/2 that wait for answers of their connection to be taken.
    pub waiting_streams: Cell<usize>,
    /// Requests that wait for their bodies.
    pub body_buffering: BodyBuffering,
    pub memory: Memory,
    pub admission: Admission,
    pub connections: RefCell<SlotMap<TableEntry>>,
    pub sockets: Rc<SocketSet>,
    /// The head that the guard has just read: valid until the task that read it returns.
    pub head: RefCell<RequestHead>,
    /// Where sockets are read into, so that an idle connection holds no buffer.
    pub scratch: RefCell<Box<[u8]>>,
    pub date: RefCell<Date>,
    pub wheel: RefCell<TimerWheel>,
    pub timers: Timers,
    /// Wakes the clock, which stands still without connections.
    pub connection_opened: Notify,
    pub draining: Cell<bool>,
    /// So long idle connections are kept while the worker drains.
    pub idle_drain: Cell<Duration>,
    /// Exchanges that have become tunnels.
    pub tunnels: Cell<usize>,
    /// Pieces of tunnels in the batch.
    pub tunnel_chunks: Cell<usize>,
    pub heap_trimmer: HeapTrimmer,
    /// Connections whose task has something to do after the ring was read.
    pub to_wake: RefCell<Vec<Rc<ConnectionState>>>,
    /// Connections that wait for JavaScript to pass what it was told.
    pub awaiting_javascript: RefCell<Vec<Rc<ConnectionState>>>,
    /// Makes the I/O thread look every millisecond, as long as JavaScript works on a batch.
    pub ring_watch: Notify,
    /// The thread is to stop.
    pub is_stopping: Cell<bool>,
    /// It has waited, or worked for a while, since its clock was read.
    pub is_clock_stale: Cell<bool>,
    now: Cell<Instant>,
    now_ms: Cell<u64>,
    started: Instant,
}

impl Context {
    pub fn new(
        limits: Limits,
        announce: bool,
        handoff: Arc<Handoff>,
        (access, statsd): (Option<AccessLog>, Option<Statsd>),
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
            servers: RefCell::default(),
            secure_servers: RefCell::default(),
            announce,
            handoff,
            access: RefCell::new(access),
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
            head: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            date: RefCell::new(Date::now()),
            wheel: RefCell::new(TimerWheel::new(0)),
            timers: Timers::default(),
            connection_opened: Notify::new(),
            draining: Cell::new(false),
            idle_drain: Cell::new(IDLE_DRAIN_TIME),
            tunnels: Cell::new(0),
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

    /// What holds for the connections of a server.
    pub fn limits_of(&self, server_id: u32) -> Rc<Limits> {
        self.servers.borrow().get(&server_id).unwrap_or(&self.limits).clone()
    }

    /// Sends the settings of a server to the thread that asked for them.
    pub fn report_settings(&self, server_id: u32, reply: &SyncSender<Settings>) {
        // The thread may have stopped waiting.
        let _ = reply.try_send(self.limits_of(server_id).settings.clone());
    }

    /// Gives a server limits of its own, for the connections that it has too; `None` forgets them.
    pub fn set_limits(&self, server_id: u32, limits: Option<Limits>) {
        let Some(limits) = limits.map(Rc::new) else {
            self.servers.borrow_mut().remove(&server_id);
            self.set_reports_refusals(server_id, false);
            return;
        };
        for (_, connected) in self.connections.borrow_mut().iter_mut() {
            if connected.belongs_to(server_id) {
                connected.set_limits(&limits);
            }
        }
        self.servers.borrow_mut().insert(server_id, limits);
    }

    /// TLS as a server does it, for connections that begin now.
    pub fn tls_of(&self, server_id: u32) -> Option<Rc<TlsServer>> {
        self.secure_servers.borrow().get(&server_id).cloned()
    }

    /// From now on a server does TLS so; `None` forgets it.
    pub fn set_tls(&self, server_id: u32, server: Option<TlsServer>) {
        match server {
            Some(server) => self.secure_servers.borrow_mut().insert(server_id, Rc::new(server)),
            None => self.secure_servers.borrow_mut().remove(&server_id),
        };
    }

    /// Says whether JavaScript hears of what is refused to clients of a server.
    pub fn set_reports_refusals(&self, server_id: u32, on: bool) {
        let mut told = self.refusal_listeners.borrow_mut();
        told.retain(|each| *each != server_id);
        if on {
            told.push(server_id);
        }
    }

    /// Whether it does.
    pub fn reports_refusals(&self, server_id: u32) -> bool {
        self.refusal_listeners.borrow().contains(&server_id)
    }

    /// Requests in hand, with the answers that are complete and not sent.
    pub fn in_flight(&self) -> usize {
        self.exchanges.borrow().len() - self.waiting_streams.get() + self.unsent_responses.get()
    }

    /// Whether nobody is connected.
    pub fn has_no_connections(&self) -> bool {
        self.connections.borrow().len() == 0 && self.handshakes.len() == 0
    }

    /// The time of this turn: read once after each sleep and each batch, since a request asks for it several times.
    pub fn now(&self) -> Instant {
        if self.is_clock_stale.get() {
            self.refresh_clock();
        }
        self.now.get()
    }

    /// Reads the clock anew.
    pub fn refresh_clock(&self) {
        self.is_clock_stale.set(false);
        let now = Instant::now();
        self.now.set(now);
        self.now_ms.set(self.ms(now));
        self.date.borrow_mut().refresh();
    }

    /// Milliseconds since the thread started: the clock of the deadlines.
    pub fn now_ms(&self) -> u64 {
        if self.is_clock_stale.get() {
            self.refresh_clock();
        }
        self.now_ms.get()
    }

    /// A time on the clock of the deadlines.
    pub fn ms(&self, time: Instant) -> u64 {
        time.duration_since(self.started).as_millis() as u64
    }

    /// The time `after` from now, on the clock of the deadlines.
    pub fn deadline(&self, after: Duration) -> u64 {
        self.now_ms() + after.as_millis() as u64
    }

    /// Counts a request that has ended. `us` runs from its head to the answer's end.
    pub fn count(&self, status: u16, bytes_in: u64, bytes_out: u64, us: u64) {
        self.handoff.slot.request_finished(status, bytes_in, bytes_out, us);
        // Without a status its client has left before there was an answer.
        if status != 0
            && let Some(statsd) = self.statsd.borrow_mut().as_mut()
        {
            statsd.request(status, Duration::from_micros(us));
        }
    }

    /// Whether the access log has lines that nobody has taken.
    pub fn has_unwritten(&self) -> bool {
        self.access.borrow().as_ref().is_some_and(AccessLog::has_unwritten)
    }

    /// Writes out what is collected at the end, when whoever reads the access log gets a while for it.
    pub fn finish_logs(&self) {
        let until = Instant::now() + LOG_FLUSH_TIME;
        self.flush_logs();
        while self.has_unwritten() && Instant::now() < until {
            thread::sleep(LOG_POLL_INTERVAL);
            self.flush_logs();
        }
    }

    /// Writes out what is collected for the logs and for statsd.
    pub fn flush_logs(&self) {
        if let Some(access) = self.access.borrow_mut().as_mut() {
            access.flush();
        }
        if let Some(statsd) = self.statsd.borrow_mut().as_mut() {
            statsd.flush();
        }
    }

    /// Bytes of a body that may be on their way to JavaScript at a time.
    pub fn body_credit(&self) -> usize {
        let most = if self.memory.is_short() { MIN_BODY_CREDIT } else { MAX_BODY_CREDIT };
        fair_share(TOTAL_BODY_CREDIT, self.exchanges.borrow().len(), MIN_BODY_CREDIT, most)
    }

    /// Bytes of an answer that are sent before other connections have their turn: with hundreds that all take as fast as
    /// we send, nobody is to wait for megabytes of each.
    pub fn burst(&self) -> usize {
        fair_share(TOTAL_BURST, self.exchanges.borrow().len(), MIN_BURST, MAX_BURST)
    }

    /// Whether more than one request is in hand, tunnels counted where they have something to say.
    pub fn serves_several(&self) -> bool {
        self.exchanges.borrow().len() - self.tunnels.get() + self.tunnel_chunks.get() > 1
    }

    /// Adds events to the batch and makes sure that the flusher runs behind the tasks that are ready now.
    pub fn emit(&self, add: impl FnOnce(&mut EventBatch)) {
        add(&mut self.batch.borrow_mut());
        if !self.is_batch_due.replace(true) {
            self.flusher.wake();
        }
    }

    /// Adds events that nobody waits for: they go with others, within [`BATCHING_DELAY`]. Waking JavaScript for the
    /// end of each short connection costs as much as waking it for its request.
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

    /// Whether the batch is to be handed over.
    pub fn has_events_due(&self) -> bool {
        self.is_batch_due.get()
    }

    /// Hands over what has waited for company, if it still does.
    pub fn end_batching_delay(&self) {
        if !self.batch.borrow().is_empty() && !self.is_batch_due.replace(true) {
            self.flusher.wake();
        }
    }

    /// Hands the batch over.
    pub fn deliver_batch(&self) {
        self.is_batch_due.set(false);
        self.handoff.deliver_batch(&mut self.batch.borrow_mut());
        let takes = self.handoff.takes();
        self.exchanges.borrow_mut().quarantine_exhausted(takes);
        self.connections.borrow_mut().quarantine_exhausted(takes);
    }
}

/// So long the end of a connection waits for a request to go to JavaScript with.
pub(crate) const BATCHING_DELAY: Duration = Duration::from_millis(4);

/// At the end of the thread a slow reader of the access log is waited for so long, and looked at so often.
const LOG_FLUSH_TIME: Duration = Duration::from_millis(250);
const LOG_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A read takes this much at most.
const SCRATCH_BYTES: usize = 65_536;
