//! The cells of the metrics in a slot of the scoreboard.
//!
//! Written by scripts/gen-metrics.ts from ts/metrics/table.ts; `npm run gen` writes it again.

/// A cell of a counter or a gauge. The number is its index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum MetricCell {
    /// Requests that the engine refused. Label: overload.
    RejectedRequestsOverload = 18,
    /// Requests that the engine refused. Label: `head_timeout`.
    RejectedRequestsHeadTimeout = 19,
    /// Requests that the engine refused. Label: `body_timeout`.
    RejectedRequestsBodyTimeout = 20,
    /// Requests that the engine refused. Label: `response_timeout`.
    RejectedRequestsResponseTimeout = 21,
    /// Requests that the engine refused. Label: `dispatch_timeout`.
    RejectedRequestsDispatchTimeout = 22,
    /// Requests that the engine refused. Label: `queue_delay`.
    RejectedRequestsQueueDelay = 23,
    /// Requests that the engine refused. Label: `head_limit`.
    RejectedRequestsHeadLimit = 24,
    /// Requests that the engine refused. Label: `body_limit`.
    RejectedRequestsBodyLimit = 25,
    /// Requests that the engine refused. Label: forbidden.
    RejectedRequestsForbidden = 26,
    /// Requests that the engine refused. Label: malformed.
    RejectedRequestsMalformed = 27,
    /// Open connections. Active ones have a request in flight or are a tunnel. The TypeScript
    /// engine knows only that they are open. Label: active.
    ConnectionsActive = 28,
    /// Open connections. Active ones have a request in flight or are a tunnel. The TypeScript
    /// engine knows only that they are open. Label: handshaking.
    ConnectionsHandshaking = 29,
    /// Connections that were refused or closed right after their accept. Label: `address_limit`.
    RejectedConnectionsAddressLimit = 30,
    /// Connections that were refused or closed right after their accept. Label: descriptors.
    RejectedConnectionsDescriptors = 31,
    /// Connections, streams and handshakes that were evicted because something was short. Label:
    /// descriptors.
    EvictedConnectionsDescriptors = 32,
    /// Connections, streams and handshakes that were evicted because something was short. Label:
    /// handshakes.
    EvictedConnectionsHandshakes = 33,
    /// Connections, streams and handshakes that were evicted because something was short. Label:
    /// requests.
    EvictedConnectionsRequests = 34,
    /// Connections, streams and handshakes that were evicted because something was short. Label:
    /// memory.
    EvictedConnectionsMemory = 35,
    /// Requests that became tunnels: upgrades, such as to the WebSocket protocol, and CONNECT.
    UpgradedConnections = 36,
    /// Upgraded connections and CONNECT tunnels that are open.
    OpenTunnels = 37,
    /// TLS handshakes that failed, timed out or were evicted.
    HandshakeFailures = 54,
    /// How often the I/O thread took the I/O loop over because JavaScript was busy.
    LoopTakeovers = 55,
    /// Time by which heartbeats of JavaScript were late; they are due each second.
    BlockedTime = 72,
}

/// A histogram. The number is the index of its first bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Histogram {
    /// Size of the body of a finished request.
    RequestBodySize = 0,
    /// Size of the body of a finished response.
    ResponseBodySize = 9,
    /// Time from the accept of a connection to the end of its TLS handshake.
    HandshakeDuration = 38,
    /// Time that a request waited until JavaScript took it.
    QueueDuration = 56,
}

/// The gauges, which a released slot does not add to the totals.
pub const GAUGE_CELLS: [MetricCell; 3] =
    [MetricCell::ConnectionsActive, MetricCell::ConnectionsHandshaking, MetricCell::OpenTunnels];
/// Number of cells that the thread with the I/O loop writes. They come first.
pub const LOOP_CELLS: usize = 56;
/// Number of cells that the JavaScript thread writes.
pub const JAVASCRIPT_CELLS: usize = 17;
/// Upper bounds of durations, in microseconds.
pub const DURATION_BOUNDS: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];
/// Upper bounds of sizes, in bytes.
pub const SIZE_BOUNDS: [u64; 7] = [0, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// The methods that have a label of their own. The first is for all others.
pub const METHODS: [&[u8]; 11] = [
    b"_OTHER", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE",
    b"PATCH", b"QUERY",
];
/// The protocol versions.
pub const PROTOCOLS: [&[u8]; 3] = [b"1.0", b"1.1", b"2"];
/// Maximum number of combinations of method, status code and protocol.
pub const MAX_SERIES: usize = 512;
