/** The settings of "Security". */
import { bytes, cappedLimit, integer, MAX_COUNT, seconds } from '../kinds.ts'
import type { Row } from '../rows.ts'

// The native engine stores the length of a line in 16 bits.
const MAX_LINE_BYTES = 65_535
// Capacity of the native engine's header map. Gunicorn allows 32768.
const MAX_FIELDS = 24_576

export const SECURITY_ROWS = {
  limit_request_line: {
    section: 'Security',
    flags: ['--limit-request-line'],
    kind: cappedLimit(MAX_LINE_BYTES, 'bytes'),
    default: 16_384,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', register: 0 },
    doc:
      'Maximum size of a request line, in bytes. A longer one gets a 414. ' +
      'Gunicorn allows 4094 bytes by default, less than the URLs of single sign-on need. ' +
      '0 and numbers above 65535 mean 65535.',
  },
  limit_request_fields: {
    section: 'Security',
    flags: ['--limit-request-fields'],
    kind: cappedLimit(MAX_FIELDS),
    default: 100,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', register: 0 },
    doc:
      'Maximum number of header fields in a request. A request with more gets a 431. ' +
      '0 and numbers above 24576 mean 24576.',
  },
  limit_request_field_size: {
    section: 'Security',
    // Gunicorn spells the flag with an underscore.
    flags: ['--limit-request-field-size', '--limit-request-field_size'],
    kind: cappedLimit(MAX_LINE_BYTES, 'bytes'),
    default: 16_384,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', register: 0 },
    doc:
      'Maximum size of a header field, in bytes, with its name and line end. ' +
      'A longer one gets a 431. Gunicorn allows 8190 bytes by default. ' +
      '0 and numbers above 65535 mean 65535. ' +
      'If neither this nor limit_request_line is set, --max-http-header-size of Node applies.',
  },
  limit_request_body: {
    section: 'Security',
    flags: ['--limit-request-body'],
    kind: bytes,
    default: 0,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'bytes' },
    doc:
      'Maximum size of a request body, in bytes; 64k, 10m and 1g are understood. ' +
      'A larger one gets a 413. 0 is no limit.',
  },
  request_buffer_size: {
    section: 'Security',
    flags: ['--request-buffer-size'],
    kind: bytes,
    default: 65_536,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', node: 'ignored' },
    doc:
      'Number of body bytes to buffer before a request is passed to the application. ' +
      '64k and 1m are understood. ' +
      'A body that is complete by then is passed at once and in one chunk, so slow uploads of ' +
      'this size cost the application nothing. 0 turns buffering off.',
  },
  request_buffer_time: {
    section: 'Security',
    flags: ['--request-buffer-time'],
    kind: seconds,
    default: 0.1,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', register: 0, node: 'ignored' },
    doc:
      'Maximum time to wait for request_buffer_size bytes of a body. ' +
      'Then the request is passed to the application, so that streamed uploads do not stall. ' +
      '0 turns waiting off.',
  },
  buffer_memory: {
    section: 'Security',
    flags: ['--buffer-memory'],
    kind: bytes,
    default: 268_435_456,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', register: 0, node: 'ignored' },
    doc:
      'Maximum memory per worker for the data of clients, in bytes; 64m and 1g are understood. ' +
      'It covers unread responses, incomplete bodies and requests that wait for JavaScript. ' +
      'Near the limit, all connections get smaller chunks. ' +
      'At the limit, connections are closed, those that have stalled longest first and then the ' +
      'newest, with a 503 if the application has not received the request. ' +
      'This protects memory against a flood of slow clients. 0 is no limit.',
  },
  limit_requests_per_connection: {
    section: 'Security',
    flags: ['--limit-requests-per-connection'],
    kind: integer(0, MAX_COUNT),
    default: 0,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count' },
    doc:
      'Maximum number of requests per connection. ' +
      'The last response has Connection: close, so that clients spread over new workers. ' +
      '0 is no limit.',
  },
  limit_connections_per_address: {
    section: 'Security',
    flags: ['--limit-connections-per-address'],
    kind: integer(0, MAX_COUNT),
    default: 0,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', node: 'ignored' },
    doc:
      'Maximum number of connections per client address and worker. ' +
      'Protects against a client that uses up the file descriptors. ' +
      'Of IPv6 addresses, the first 64 bits count. ' +
      'A connection over the limit gets a 503 with Retry-After and is closed. ' +
      'At most as many rejected connections as the limit may read that response; further ones ' +
      'are closed at once. ' +
      'TLS connections are also closed at once, since a response would cost a handshake. ' +
      'The log reports rejections at most once a second. ' +
      'Peers in forwarded_allow_ips do not count, since their connections belong to many ' +
      'clients; with proxy_protocol, nor do peers in proxy_allow_ips. 0 is no limit.',
  },
  header_timeout: {
    section: 'Security',
    flags: ['--header-timeout'],
    kind: seconds,
    default: 30,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', register: 0 },
    doc:
      'Maximum time to receive a request head, from the accept or its first byte to its end. ' +
      'Further bytes do not restart the time. A late client gets a 408. ' +
      'A client that has sent nothing is closed without a response, which a browser might take ' +
      'for one to a later request. ' +
      'Protects against clients that send a head byte by byte to hold a connection (slowloris). ' +
      '0 is no limit.',
  },
  body_timeout: {
    section: 'Security',
    flags: ['--body-timeout'],
    kind: seconds,
    default: 30,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', register: 0, node: 'ignored' },
    doc:
      'Maximum time without a byte of a request body while the server waits for one. ' +
      'Then the client gets a 408, and the connection is closed. ' +
      'Protects against clients that announce a body and stop. 0 is no limit.',
  },
  body_min_rate: {
    section: 'Security',
    flags: ['--body-min-rate'],
    kind: integer(0),
    default: 500,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'bytes', register: 0, node: 'ignored' },
    doc:
      'Minimum rate of a request body in bytes per second, after the first 20 seconds. ' +
      'Time in which the application does not read is not counted. A slower client gets a 408. ' +
      'Protects against bodies sent in drips (R.U.D.Y.). 0 turns the check off.',
  },
  request_timeout: {
    section: 'Security',
    flags: ['--request-timeout'],
    kind: seconds,
    default: 0,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration' },
    doc:
      'Maximum time from the complete request to the head of the response. ' +
      'Then the client gets a 504 and the AbortSignal of the request fires. ' +
      'If a busy worker has not started the request, the client gets a 503 with Retry-After. ' +
      'Streaming after the head and upgrades are not limited. ' +
      'Protects against handlers that never respond. 0 is no limit.',
  },
  write_timeout: {
    section: 'Security',
    flags: ['--write-timeout'],
    kind: seconds,
    default: 60,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', register: 0, node: 'ignored' },
    doc:
      'Maximum time for which a client may read nothing of a pending response. ' +
      'Then the connection is reset and the response stream destroyed. ' +
      'Protects against clients that send requests and do not read. 0 is no limit.',
  },
  write_min_rate: {
    section: 'Security',
    flags: ['--write-min-rate'],
    kind: integer(0),
    default: 500,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'bytes', register: 0, node: 'ignored' },
    doc:
      'Minimum rate at which a client reads a pending response, in bytes per second, after 20 ' +
      'seconds. A slower client is treated as in write_timeout. ' +
      'Bytes that the kernels of both sides buffer at the start count. ' +
      'So readers in drips (slow read) last about as long as write_timeout. ' +
      '0 turns the check off.',
  },
  linger_timeout: {
    section: 'Security',
    flags: ['--linger-timeout'],
    kind: seconds,
    default: 2,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', node: 'ignored' },
    doc:
      'Time for which a connection is still read after its last response. The data is discarded. ' +
      'Without this, a client that is still sending would get a reset, which destroys the ' +
      'response before it is read. ' +
      'The limit is 64 KiB after a rejected request, and 16 MiB if the client is in the middle ' +
      'of a body.',
  },
  response_buffer_size: {
    section: 'Security',
    flags: ['--response-buffer-size'],
    kind: bytes,
    default: 131_072,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', register: 65_536, node: 'ignored' },
    doc:
      'Maximum number of response bytes that the engine buffers for a client. ' +
      '64k and 1m are understood. ' +
      'At the limit, write() returns false until the client has read them, and the rest of a ' +
      'large buffer is not copied. ' +
      'This is the memory that each client costs that reads slowly or not at all. ' +
      'A larger value makes fast downloads slightly cheaper. ' +
      'While few clients are slow, the engine buffers up to four times as much. ' +
      'A large buffer at the end of a response is sent without a copy and does not count.',
  },
} as const satisfies Record<string, Row>
