/**
 * The metrics table: every metric of the server once. The page of `metrics_bind`, the list in
 * docs/monitoring.md, the names for statsd and the cells in shared memory (`npm run gen` writes
 * them in Rust) come from it. Metrics of the application are not here.
 */

/** What a metric measures, as Prometheus names it. */
export type MetricKind = 'counter' | 'gauge' | 'histogram'

/** One metric. */
export interface MetricRow {
  /** Name without the suffix `_total`, which counters get on the page. */
  readonly name: string
  readonly kind: MetricKind
  /** The name ends with it. */
  readonly unit?: 'seconds' | 'bytes'
  /** One sentence. */
  readonly help: string
  /** Names of the labels. */
  readonly labels?: readonly string[]
  /**
   * Set if the native engine counts it in the scoreboard's shared memory. The TypeScript engine has
   * no such metric, except with `isOfBothEngines`.
   */
  readonly cells?: CellColumn
  /** Values of the only label that have no cell. */
  readonly valuesWithoutCell?: readonly string[]
  /** Set if the TypeScript engine has the metric too, although it has cells. */
  readonly isOfBothEngines?: true
  /** Set if the metric is known without the native engine only in part, or not at all. */
  readonly needsEngine?: true
  /** Name in statsd, before the prefix. */
  readonly statsd?: string
}

/** The cells of a metric in a worker's slot. Each cell has one writer at a time. */
export interface CellColumn {
  /** The thread that writes the cells: the one that holds the I/O loop, or JavaScript's. */
  readonly writer: 'loop' | 'javascript'
  /** The values of the only label, one cell each; without it, there is one cell. */
  readonly values?: readonly string[]
  /** The upper bounds of a histogram: each has a cell, and there are two more (above, and sum). */
  readonly bounds?: readonly number[]
  /** Microseconds or milliseconds in the cell become seconds on the page. */
  readonly unitsPerSecond?: number
}

/** OpenTelemetry's boundaries of `http.server.request.duration`, in microseconds. */
export const DURATION_BOUNDS = [
  5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
  5_000_000, 7_500_000, 10_000_000,
] as const

/** Boundaries of the sizes of bodies, in bytes. */
export const SIZE_BOUNDS = [0, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000] as const

/** The methods that have a label of their own; the first is for all others. */
export const METHODS = [
  '_OTHER',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
] as const

/** Protocol versions, as OpenTelemetry's attribute `network.protocol.version` has them. */
export const PROTOCOLS = ['1.0', '1.1', '2'] as const

/**
 * Maximum number of combinations of method, status code and protocol. Further ones are counted in
 * the first, which has `_OTHER` as its method and no status code.
 */
export const MAX_SERIES = 512

/** Every metric of the server, in the order of the page. */
export const METRICS = {
  requestDuration: {
    name: 'http_server_request_duration_seconds',
    kind: 'histogram',
    unit: 'seconds',
    help: 'Time from the complete head of a request to the end of its response.',
    labels: ['http_request_method', 'http_response_status_code', 'network_protocol_version'],
    needsEngine: true,
    statsd: 'gunicorn.request.duration',
  },
  activeRequests: {
    name: 'http_server_active_requests',
    kind: 'gauge',
    help: 'Requests in flight.',
  },
  requestBodySize: {
    name: 'http_server_request_body_size_bytes',
    kind: 'histogram',
    unit: 'bytes',
    help: 'Size of the body of a finished request.',
    cells: { writer: 'loop', bounds: SIZE_BOUNDS },
  },
  responseBodySize: {
    name: 'http_server_response_body_size_bytes',
    kind: 'histogram',
    unit: 'bytes',
    help: 'Size of the body of a finished response.',
    cells: { writer: 'loop', bounds: SIZE_BOUNDS },
  },
  requests: {
    name: 'monoceros_requests',
    kind: 'counter',
    help: 'Finished requests.',
    statsd: 'gunicorn.requests',
  },
  queueDuration: {
    name: 'monoceros_request_queue_duration_seconds',
    kind: 'histogram',
    unit: 'seconds',
    help: 'Time that a request waited until JavaScript took it.',
    cells: { writer: 'javascript', bounds: DURATION_BOUNDS, unitsPerSecond: 1_000_000 },
  },
  rejectedRequests: {
    name: 'monoceros_rejected_requests',
    kind: 'counter',
    help: 'Requests that the engine refused.',
    labels: ['reason'],
    cells: {
      writer: 'loop',
      values: [
        'overload',
        'head_timeout',
        'body_timeout',
        'response_timeout',
        'dispatch_timeout',
        'queue_delay',
        'head_limit',
        'body_limit',
        'forbidden',
        'malformed',
      ],
    },
  },
  connections: {
    name: 'monoceros_connections',
    kind: 'gauge',
    help:
      'Open connections. Active ones have a request in flight or are a tunnel. The TypeScript ' +
      'engine knows only that they are open.',
    labels: ['state'],
    cells: { writer: 'loop', values: ['active', 'handshaking'] },
    // The idle ones are the rest.
    valuesWithoutCell: ['idle', 'open'],
    isOfBothEngines: true,
  },
  acceptedConnections: {
    name: 'monoceros_accepted_connections',
    kind: 'counter',
    help: 'Accepted connections.',
    needsEngine: true,
  },
  rejectedConnections: {
    name: 'monoceros_rejected_connections',
    kind: 'counter',
    help: 'Connections that were refused or closed right after their accept.',
    labels: ['reason'],
    cells: { writer: 'loop', values: ['address_limit', 'descriptors'] },
  },
  evictedConnections: {
    name: 'monoceros_evicted_connections',
    kind: 'counter',
    help: 'Connections, streams and handshakes that were evicted because something was short.',
    labels: ['shortage'],
    cells: { writer: 'loop', values: ['descriptors', 'handshakes', 'requests', 'memory'] },
  },
  upgradedConnections: {
    name: 'monoceros_upgraded_connections',
    kind: 'counter',
    help: 'Requests that became tunnels: upgrades, such as to the WebSocket protocol, and CONNECT.',
    cells: { writer: 'loop' },
  },
  openTunnels: {
    name: 'monoceros_open_tunnels',
    kind: 'gauge',
    help: 'Upgraded connections and CONNECT tunnels that are open.',
    cells: { writer: 'loop' },
  },
  handshakeDuration: {
    name: 'monoceros_tls_handshake_duration_seconds',
    kind: 'histogram',
    unit: 'seconds',
    help: 'Time from the accept of a connection to the end of its TLS handshake.',
    cells: { writer: 'loop', bounds: DURATION_BOUNDS, unitsPerSecond: 1_000_000 },
  },
  handshakeFailures: {
    name: 'monoceros_tls_handshake_failures',
    kind: 'counter',
    help: 'TLS handshakes that failed, timed out or were evicted.',
    cells: { writer: 'loop' },
  },
  listenBacklog: {
    name: 'monoceros_listen_backlog',
    kind: 'gauge',
    help: 'Connections that wait in the kernel to be accepted (Linux, TCP).',
    labels: ['address'],
    statsd: 'gunicorn.backlog',
  },
  loopTakeovers: {
    name: 'monoceros_io_loop_takeovers',
    kind: 'counter',
    help: 'How often the I/O thread took the I/O loop over because JavaScript was busy.',
    cells: { writer: 'loop' },
  },
  blockedTime: {
    name: 'monoceros_event_loop_blocked_seconds',
    kind: 'counter',
    unit: 'seconds',
    help: 'Time by which heartbeats of JavaScript were late; they are due each second.',
    cells: { writer: 'javascript', unitsPerSecond: 1_000_000 },
  },
  workers: {
    name: 'monoceros_workers',
    kind: 'gauge',
    help: 'Worker processes.',
    labels: ['state'],
    statsd: 'gunicorn.workers',
  },
  wantedWorkers: {
    name: 'monoceros_workers_wanted',
    kind: 'gauge',
    help: 'Number of workers that the server is to have.',
  },
  workerRestarts: {
    name: 'monoceros_worker_restarts',
    kind: 'counter',
    help: 'Workers that exited and were to be replaced.',
    labels: ['reason'],
  },
  workerBootDuration: {
    name: 'monoceros_worker_boot_duration_seconds',
    kind: 'histogram',
    unit: 'seconds',
    help: 'Time from the start of a worker until it was ready.',
  },
  workerDrainDuration: {
    name: 'monoceros_worker_drain_duration_seconds',
    kind: 'histogram',
    unit: 'seconds',
    help: 'Time from the request to stop until the exit of a worker.',
  },
  reloads: {
    name: 'monoceros_reloads',
    kind: 'counter',
    help: 'Reloads.',
    labels: ['outcome'],
  },
  generation: {
    name: 'monoceros_generation',
    kind: 'gauge',
    help: 'Number of the current generation: 1 after the start, one more after each reload.',
  },
  ready: {
    name: 'monoceros_ready',
    kind: 'gauge',
    help: '1 while /readyz answers 200, else 0.',
  },
  cpuUser: {
    name: 'process_cpu_user_seconds',
    kind: 'counter',
    unit: 'seconds',
    help: 'Processor time of the workers in user mode.',
  },
  cpuSystem: {
    name: 'process_cpu_system_seconds',
    kind: 'counter',
    unit: 'seconds',
    help: 'Processor time of the workers in the kernel.',
  },
  cpu: {
    name: 'process_cpu_seconds',
    kind: 'counter',
    unit: 'seconds',
    help: 'Processor time of the workers.',
  },
  residentMemory: {
    name: 'process_resident_memory_bytes',
    kind: 'gauge',
    unit: 'bytes',
    help: 'Resident memory of the workers.',
  },
  virtualMemory: {
    name: 'process_virtual_memory_bytes',
    kind: 'gauge',
    unit: 'bytes',
    help: 'Virtual memory of the workers.',
  },
  openDescriptors: {
    name: 'process_open_fds',
    kind: 'gauge',
    help: 'Open descriptors of the workers.',
  },
  maxDescriptors: {
    name: 'process_max_fds',
    kind: 'gauge',
    help: 'Maximum number of open descriptors of a worker.',
  },
  startTime: {
    name: 'process_start_time_seconds',
    kind: 'gauge',
    unit: 'seconds',
    help: 'Time at which the arbiter started, in seconds since 1970.',
  },
  heapTotal: {
    name: 'nodejs_heap_size_total_bytes',
    kind: 'gauge',
    unit: 'bytes',
    help: "Size of the workers' JavaScript heaps.",
  },
  heapUsed: {
    name: 'nodejs_heap_size_used_bytes',
    kind: 'gauge',
    unit: 'bytes',
    help: "Used part of the workers' JavaScript heaps.",
  },
  externalMemory: {
    name: 'nodejs_external_memory_bytes',
    kind: 'gauge',
    unit: 'bytes',
    help: 'Memory outside of the heaps that objects of the workers own.',
  },
  activeResources: {
    name: 'nodejs_active_resources_total',
    kind: 'gauge',
    help: 'Resources that keep the event loops of the workers alive.',
  },
  eventLoopLag: {
    name: 'nodejs_eventloop_lag_seconds',
    kind: 'gauge',
    unit: 'seconds',
    help: 'Lag of the slowest event loop at the time of the scrape.',
  },
  eventLoopUtilization: {
    name: 'nodejs_eventloop_utilization_ratio',
    kind: 'gauge',
    help: 'Mean share of time in which the event loops were busy since the scrape before.',
  },
  nodeVersion: {
    name: 'nodejs_version_info',
    kind: 'gauge',
    help: 'Version of Node.js.',
    labels: ['version', 'major', 'minor', 'patch'],
  },
} as const satisfies Readonly<Record<string, MetricRow>>

/** Key of a metric in the table. */
export type MetricKey = keyof typeof METRICS

/** Returns the rows of the table with their full type. */
export function metricRows(): [MetricKey, MetricRow][] {
  return Object.entries(METRICS) as [MetricKey, MetricRow][]
}

/** Returns whether only the native engine has a metric. */
export function isOfNativeEngine(row: MetricRow): boolean {
  return (row.needsEngine ?? row.cells !== undefined) && row.isOfBothEngines !== true
}
