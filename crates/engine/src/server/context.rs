//! The state that all tasks of a loop share, by concern.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bridge::handoff::Handoff;
use crate::bridge::outbox::Outbox;
use crate::buffers::byte_counts::ClosedCounts;
use crate::buffers::heap_trim::HeapTrimmer;
use crate::buffers::sizes::{
    MAX_BODY_CREDIT, MAX_BURST, MIN_BODY_CREDIT, MIN_BURST, READ_BYTES, TOTAL_BODY_CREDIT,
    TOTAL_BURST,
};
use crate::exchange::log_info::SpareLogInfo;
use crate::exchange::request_head::RequestHead;
use crate::exchange::response_sink::ResponseSink;
use crate::guard::Refusal;
use crate::http1::date::Date;
use crate::log::request_logs::RequestLogs;
use crate::pressure::admission::Admission;
use crate::pressure::body_buffering::BodyBuffering;
use crate::pressure::limits::{IDLE_DRAIN_TIME, Limits, fair_share};
use crate::pressure::memory::Memory;
use crate::runtime::alarms::{Alarm, Alarms};
use crate::runtime::clock::Clock;
use crate::runtime::executor::Executor;
use crate::runtime::slot_map::SlotMap;
use crate::runtime::sockets::SocketSet;
use crate::runtime::wheel::TimerWheel;
use crate::scoreboard::layout::MetricCell;
use crate::scoreboard::{FinishedRequest, SeriesCache};
use crate::server::affinity::Affinity;
use crate::server::connection::state::ConnectionState;
use crate::server::connection::table::TableEntry;
use crate::server::servers::Servers;
use crate::transport::tls::Handshakes;

/// State that all tasks of a loop share.
pub(crate) struct Context {
    /// Default limits, for servers that have set no limits of their own.
    pub limits: Rc<Limits>,
    /// The servers that listen.
    pub servers: Servers,
    /// Whether JavaScript receives each connection at its accept instead of with its first request.
    pub announces_at_accept: bool,
    /// Mailboxes between the loop, the acceptor thread and the JavaScript thread.
    pub handoff: Arc<Handoff>,
    /// Sends connections to the workers that their sessions belong to; `None` without affinity.
    pub affinity: Option<Affinity>,
    /// Events that have not been delivered to JavaScript yet.
    pub outbox: Outbox,
    /// The connections, and the exchanges of their requests.
    pub tables: Tables,
    /// Decides who is served, and who must go.
    pub pressure: Pressure,
    pub logs: RequestLogs,
    /// Where the series of requests are on the scoreboard.
    pub series: SeriesCache,
    pub clock: Clock,
    /// The times at which the loop does something by itself.
    pub alarms: Rc<Alarms>,
    /// The earliest deadline of each connection, by slot.
    pub wheel: RefCell<TimerWheel>,
    /// Runs the tasks of the connections.
    pub executor: Rc<Executor>,
    /// The poll set with the sockets of all connections.
    pub sockets: Rc<SocketSet>,
    pub scratch: Scratch,
    pub lifecycle: Lifecycle,
}

/// The connections of a loop, and the exchanges of their requests.
#[derive(Default)]
pub(crate) struct Tables {
    /// Open connections after the TLS handshake, idle ones included, by id.
    pub connections: RefCell<SlotMap<TableEntry>>,
    /// Exchanges in flight, by the id that records in the ring name.
    pub exchanges: RefCell<SlotMap<Rc<dyn ResponseSink>>>,
    /// Number of complete responses that clients have not read yet. Each counts as in flight.
    pub unsent_responses: Cell<usize>,
    /// Number of HTTP/2 requests that wait for admission. They do not count as in flight.
    pub waiting_streams: Cell<usize>,
    /// Number of exchanges that have become tunnels: upgrades and CONNECT requests.
    pub tunnel_count: Cell<usize>,
    /// Connections that the ring's records have changed; they wake after the last record.
    pub to_wake: RefCell<Vec<Rc<ConnectionState>>>,
    /// Half-closed connections that wait until JavaScript has taken the events emitted so far.
    pub awaiting_javascript: RefCell<Vec<Rc<ConnectionState>>>,
    /// Byte counts of the connections that closed last.
    pub closed_counts: RefCell<ClosedCounts>,
    /// How often JavaScript had taken a batch when the ring was last polled for them.
    pub polled_takes: Cell<u64>,
}

/// What decides who is served, and who must go.
pub(crate) struct Pressure {
    /// Admits connections by file descriptor and by client address.
    pub admission: Admission,
    /// Bytes that clients make the worker hold; `buffer_memory` bounds them.
    pub memory: Memory,
    /// TLS handshakes in progress; `limit_handshakes` bounds their number.
    pub handshakes: Handshakes,
    /// Requests that are dispatched once their body is complete, or after `request_buffer_time`.
    pub body_buffering: BodyBuffering,
    /// Returns free heap memory to the system after many connections have become idle.
    pub heap_trimmer: HeapTrimmer,
}

/// Memory that one task at a time uses, so that no connection needs its own.
pub(crate) struct Scratch {
    /// The request head that the guard parsed last. It is valid until the task that parsed it
    /// returns.
    pub parsed_head: RefCell<RequestHead>,
    /// Buffer that every socket is read into.
    pub read: RefCell<Box<[u8]>>,
    /// The `Date` field value of this second.
    date: RefCell<Date>,
    /// Log data of finished exchanges, whose buffers new exchanges reuse.
    pub log_info: RefCell<SpareLogInfo>,
}

/// How far the loop is on its way to its end.
pub(crate) struct Lifecycle {
    /// Whether the worker drains: each connection closes after its response.
    pub is_draining: Cell<bool>,
    /// How long a drain keeps idle connections open, because a request may be on its way.
    pub idle_drain: Cell<Duration>,
    /// When the process must have exited, because the arbiter has died.
    pub orphan_ends_at: Cell<Option<Instant>>,
    /// Whether the loop must stop after this turn.
    pub is_stopping: Cell<bool>,
}

impl Context {
    pub fn new(
        limits: Limits,
        announces_at_accept: bool,
        handoff: Arc<Handoff>,
        affinity: Option<Affinity>,
        logs: RequestLogs,
        poll: mio::Poll,
    ) -> Self {
        let limits = Rc::new(limits);
        let (alarms, executor) = (Rc::<Alarms>::default(), Rc::<Executor>::default());
        Self {
            servers: Servers::new(limits.clone()),
            announces_at_accept,
            outbox: Outbox::new(alarms.clone(), handoff.clone()),
            handoff,
            affinity,
            tables: Tables::default(),
            pressure: Pressure {
                admission: Admission::new(),
                memory: Memory::new(&limits),
                handshakes: Handshakes::new(limits.settings.limit_handshakes as usize),
                body_buffering: BodyBuffering::default(),
                heap_trimmer: HeapTrimmer::default(),
            },
            limits,
            logs,
            series: SeriesCache::default(),
            clock: Clock::start(),
            alarms,
            wheel: RefCell::new(TimerWheel::new(0)),
            sockets: Rc::new(SocketSet::new(poll, executor.budget())),
            executor,
            scratch: Scratch {
                parsed_head: RefCell::default(),
                read: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
                date: RefCell::new(Date::now()),
                log_info: RefCell::default(),
            },
            lifecycle: Lifecycle {
                is_draining: Cell::new(false),
                idle_drain: Cell::new(IDLE_DRAIN_TIME),
                orphan_ends_at: Cell::new(None),
                is_stopping: Cell::new(false),
            },
        }
    }

    /// Sets the limits of a server and of its open connections.
    pub fn set_limits(&self, server_id: u32, limits: Limits) {
        let limits = Rc::new(limits);
        for (_, entry) in self.tables.connections.borrow_mut().iter_mut() {
            if entry.belongs_to(server_id) {
                entry.set_limits(&limits);
            }
        }
        self.servers.set_limits(server_id, limits);
    }

    /// Returns the `Date` field value of this turn.
    pub fn date(&self) -> Ref<'_, Date> {
        self.scratch.date.borrow_mut().refresh(self.clock.now());
        self.scratch.date.borrow()
    }

    /// Whether the loop has no open connection and no TLS handshake in progress.
    pub fn has_no_connections(&self) -> bool {
        self.tables.connections.borrow().len() == 0 && self.pressure.handshakes.len() == 0
    }

    /// Counts a finished request on the scoreboard and for statsd.
    pub fn count_finished_request(&self, request: &FinishedRequest) {
        self.handoff.slot.request_finished(&self.series, request);
        let status = request.key.status();
        // Status 0 means that the client disconnected before a response began.
        if status != 0 {
            self.logs.count_request(status, request.us);
        }
    }

    /// Changes the number of tunnels.
    pub fn change_tunnel_count(&self, change: impl FnOnce(usize) -> usize) {
        let count = change(self.tables.tunnel_count.get());
        self.tables.tunnel_count.set(count);
        self.handoff.slot.set_gauge(MetricCell::OpenTunnels, count as u64);
    }

    /// Counts an exchange that has become a tunnel.
    pub fn count_tunnel(&self) {
        self.change_tunnel_count(|count| count + 1);
        self.count(MetricCell::UpgradedConnections);
    }

    /// Counts a refusal by its reason.
    pub fn count_refusal(&self, refusal: Refusal) {
        self.count(match refusal {
            Refusal::Overloaded => MetricCell::RejectedRequestsOverload,
            Refusal::HeadTimeout => MetricCell::RejectedRequestsHeadTimeout,
            Refusal::BodyTimeout => MetricCell::RejectedRequestsBodyTimeout,
            Refusal::ResponseTimeout => MetricCell::RejectedRequestsResponseTimeout,
            Refusal::DispatchTimeout => MetricCell::RejectedRequestsDispatchTimeout,
            Refusal::FieldTooLarge | Refusal::TooManyFields | Refusal::UriTooLong => {
                MetricCell::RejectedRequestsHeadLimit
            }
            Refusal::BodyTooLarge => MetricCell::RejectedRequestsBodyLimit,
            Refusal::ProxyProtocolForbidden => MetricCell::RejectedRequestsForbidden,
            _ => MetricCell::RejectedRequestsMalformed,
        });
    }

    /// Adds one to a counter of the metrics table.
    pub fn count(&self, cell: MetricCell) {
        self.handoff.slot.count(cell, 1);
    }

    /// Returns the maximum bytes of one request body that may be on their way to JavaScript: a fair
    /// share of [`TOTAL_BODY_CREDIT`].
    pub fn max_body_credit(&self) -> usize {
        let is_near_limit = self.pressure.memory.is_near_limit();
        let most = if is_near_limit { MIN_BODY_CREDIT } else { MAX_BODY_CREDIT };
        let count = self.tables.exchanges.borrow().len();
        fair_share(TOTAL_BODY_CREDIT, count, MIN_BODY_CREDIT, most)
    }

    /// Returns the maximum bytes of a response that are sent before other connections have a turn.
    /// Otherwise one of hundreds of fast readers would wait for megabytes of each other one.
    pub fn max_burst(&self) -> usize {
        fair_share(TOTAL_BURST, self.tables.exchanges.borrow().len(), MIN_BURST, MAX_BURST)
    }

    /// Whether more than one request is in flight. A tunnel counts only if the outbox has bytes of
    /// it.
    pub fn has_several_requests(&self) -> bool {
        self.tables.requests() + self.outbox.tunnel_chunks() > 1
    }

    /// Starts the clock, if it does not run: it ticks while there are connections or unwritten log
    /// lines. Otherwise an idle worker sleeps.
    pub fn start_clock(&self) {
        if self.alarms.is_set(Alarm::Clock) {
            return;
        }
        // While the clock ticks, it finds accepted connections, so the accept need not wake the
        // thread. It must if JavaScript receives connections at their accept.
        self.handoff.set_polls_accepted(!self.announces_at_accept);
        self.alarms.set(Alarm::Clock, Instant::now() + CLOCK_TICK);
    }

    /// Reads the ring every millisecond while JavaScript processes a batch, so that no finished
    /// response waits for the slow handler of another request.
    pub fn watch_ring(&self) {
        self.alarms.set_if_unset(Alarm::Ring, RING_POLL_INTERVAL);
    }

    /// Delivers the events of this turn to JavaScript, if there are any. Ids without an unused
    /// generation are set aside until JavaScript has taken this batch.
    pub fn deliver_events(&self) {
        if !self.outbox.is_due() {
            return;
        }
        self.outbox.deliver();
        let takes = self.handoff.takes();
        self.tables.exchanges.borrow_mut().quarantine_exhausted(takes);
        self.tables.connections.borrow_mut().quarantine_exhausted(takes);
    }
}

impl Tables {
    /// Returns the number of requests in flight, including complete responses that the client has
    /// not read yet. `worker_connections` bounds it.
    pub fn in_flight(&self) -> usize {
        self.exchanges.borrow().len() - self.waiting_streams.get() + self.unsent_responses.get()
    }

    /// Returns the number of requests that have not become tunnels.
    fn requests(&self) -> usize {
        self.exchanges.borrow().len() - self.tunnel_count.get()
    }
}

/// Interval of the clock, and so the resolution of the deadlines of connections.
const CLOCK_TICK: Duration = Duration::from_millis(100);
/// Interval at which the ring is read while JavaScript processes a batch.
const RING_POLL_INTERVAL: Duration = Duration::from_millis(1);
