/** The settings of "Worker Processes". */
import {
  bytes,
  choice,
  integer,
  MAX_COUNT,
  orNull,
  seconds,
  secondsAtLeast,
  text,
} from '../kinds.ts'
import { sessionKey } from '../network-kinds.ts'
import type { Row } from '../rows.ts'
import { workerClass, workerCount } from '../worker-kinds.ts'

export const WORKER_PROCESSES_ROWS = {
  workers: {
    section: 'Worker Processes',
    flags: ['-w', '--workers'],
    kind: workerCount,
    default: 1,
    defaultFrom: {
      variable: 'WEB_CONCURRENCY',
      toText: (count) => count,
      allowed: 'an integer from 0 to 1024 or "auto"',
    },
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Number of worker processes. "auto" is the number of processors available to this process. ' +
      'That is the CPU quota of its control group (rounded up), at most the processors that the ' +
      'system schedules it on. If the environment sets WEB_CONCURRENCY, that is the default.',
  },
  worker_class: {
    section: 'Worker Processes',
    flags: ['-k', '--worker-class'],
    kind: workerClass,
    default: 'auto',
    status: 'supported',
    readBy: 'worker',
    doc:
      'How a worker calls the application. ' +
      '"auto" decides by what the module exports, "node" calls it with (req, res), "fetch" with ' +
      'a Request. The path of a module selects an adapter of your own. ' +
      'Gunicorn\'s names (sync, gthread, gevent and so on) mean "auto", with a warning.',
  },
  threads: {
    section: 'Worker Processes',
    flags: ['--threads'],
    kind: integer(0),
    default: 1,
    status: 'inapplicable',
    whenSet: 'warn',
    reason:
      'JavaScript runs in one thread per process, and I/O has a thread of its own; use workers',
    doc: 'Number of request threads per worker.',
  },
  worker_connections: {
    section: 'Worker Processes',
    flags: ['--worker-connections'],
    kind: integer(0, MAX_COUNT),
    default: 1000,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', register: 0 },
    doc:
      'Maximum number of in-flight requests per worker. ' +
      'At the limit, other workers accept the new connections. ' +
      'If no other worker can, the worker evicts the client that has stalled longest, for at ' +
      'least 5 seconds. ' +
      'A stalled client sends no body, reads no response, or is slower than body_min_rate or ' +
      'write_min_rate. If no client has stalled, the new request gets a 503. 0 is no limit.',
  },
  queue_delay_target: {
    section: 'Worker Processes',
    flags: ['--queue-delay-target'],
    kind: seconds,
    default: 0.25,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', register: 0, node: 'ignored' },
    doc:
      'Maximum time that requests should wait until JavaScript takes them. ' +
      'If each request waits longer for half a second and the queue grows, the worker is ' +
      'overloaded. Requests that have waited twice as long then get a 503 with Retry-After, ' +
      'before the application sees them. 0 turns this off.',
  },
  max_requests: {
    section: 'Worker Processes',
    flags: ['--max-requests'],
    kind: integer(0),
    default: 0,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Number of requests after which a worker is replaced, against slow memory leaks. ' +
      'The successor is ready before the old worker exits. 0 means never.',
  },
  max_requests_jitter: {
    section: 'Worker Processes',
    flags: ['--max-requests-jitter'],
    kind: integer(0),
    default: 0,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Maximum random number added to max_requests, chosen per worker. ' +
      'It keeps the workers from being replaced at the same time.',
  },
  max_worker_lifetime: {
    section: 'Worker Processes',
    flags: ['--max-worker-lifetime'],
    kind: seconds,
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Time after which a worker is replaced. ' +
      'Use it against resources that grow with time and not with requests. ' +
      'The successor is ready before the old worker exits. 0 means never.',
  },
  max_worker_lifetime_jitter: {
    section: 'Worker Processes',
    flags: ['--max-worker-lifetime-jitter'],
    kind: seconds,
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc: 'Maximum random time added to max_worker_lifetime, chosen per worker.',
  },
  max_worker_memory: {
    section: 'Worker Processes',
    flags: ['--max-worker-memory'],
    kind: bytes,
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Resident memory above which a worker is replaced, before the kernel or V8 kills it. ' +
      'The successor is ready before the old worker exits. 0 is no limit. ' +
      'Linux only: the value is read from /proc.',
  },
  timeout: {
    section: 'Worker Processes',
    flags: ['-t', '--timeout'],
    kind: seconds,
    default: 30,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Maximum time for which the event loop of a worker may be blocked. ' +
      'Then the worker is killed and replaced. ' +
      'Requests that wait for I/O do not block the loop and are not limited. ' +
      '0 turns the check off.',
  },
  boot_timeout: {
    section: 'Worker Processes',
    flags: ['--boot-timeout'],
    kind: secondsAtLeast(0.1),
    default: 60,
    status: 'supported',
    readBy: 'arbiter',
    doc: 'Maximum time from the start of a worker until its application is ready.',
  },
  graceful_timeout: {
    section: 'Worker Processes',
    flags: ['--graceful-timeout'],
    kind: seconds,
    default: 30,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Time to finish in-flight requests before a worker that stops or is replaced is killed.',
  },
  max_surge: {
    section: 'Worker Processes',
    flags: ['--max-surge'],
    kind: integer(1, 1024),
    default: 1,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Maximum number of extra workers while a reload replaces the old ones. ' +
      'A larger number makes reloads faster and takes more memory meanwhile.',
  },
  keepalive: {
    section: 'Worker Processes',
    flags: ['--keep-alive', '--keepalive'],
    kind: seconds,
    default: 75,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration', register: 5 },
    doc:
      'Time that an idle connection stays open for its next request. ' +
      "Gunicorn's 2 seconds are shorter than the idle timeout of load balancers, which then " +
      'sends requests into closing connections. 75 seconds are longer than the usual 60. ' +
      '0 closes the connection after each response.',
  },
  asgi_loop: {
    section: 'Worker Processes',
    flags: ['--asgi-loop'],
    kind: choice(['auto', 'asyncio', 'uvloop']),
    default: 'auto',
    status: 'inapplicable',
    whenSet: 'warn',
    reason: "the event loop is always Node's",
    doc: 'Event loop of ASGI workers.',
  },
  asgi_lifespan: {
    section: 'Worker Processes',
    flags: ['--asgi-lifespan'],
    kind: choice(['auto', 'on', 'off']),
    default: 'auto',
    status: 'supported',
    readBy: 'worker',
    doc:
      'Whether to call the functions that the application exports as startup and shutdown. ' +
      'startup() finishes before the worker serves (within boot_timeout). ' +
      'shutdown() runs after the last request (within graceful_timeout). ' +
      '"auto" calls those that exist, "on" requires at least one.',
  },
  asgi_disconnect_grace_period: {
    section: 'Worker Processes',
    flags: ['--asgi-disconnect-grace-period'],
    kind: seconds,
    default: 3,
    status: 'supported',
    readBy: 'worker',
    doc:
      'Time that a request may continue after its client has disconnected. ' +
      'The application is notified of the disconnect at once, and nothing interrupts its code. ' +
      'A worker that stops waits this long, after the disconnect, for the end of the response ' +
      'or for the promise of a fetch function. 0 does not wait.',
  },
  websocket_max_message_size: {
    section: 'Worker Processes',
    flags: ['--websocket-max-message-size'],
    kind: bytes,
    default: 16_777_216,
    status: 'supported',
    readBy: 'worker',
    doc:
      'Maximum size of a WebSocket message of a client, in bytes; 64k and 16m are understood. ' +
      'A larger message closes the connection with the code 1009. ' +
      'The size is that of the frames: a compressed message is larger for the application. ' +
      '0 is no limit.',
  },
  http_parser: {
    section: 'Worker Processes',
    flags: ['--http-parser'],
    kind: choice(['auto', 'fast', 'python']),
    default: 'auto',
    status: 'inapplicable',
    whenSet: 'warn',
    reason: 'the setting "engine" chooses between Rust and Node',
    doc: 'Parser of HTTP requests.',
  },
  engine: {
    section: 'Worker Processes',
    flags: ['--engine'],
    kind: choice(['auto', 'native', 'node']),
    default: 'auto',
    status: 'supported',
    readBy: 'worker',
    doc:
      'HTTP implementation. "native" is the Rust engine, "node" is node:http. ' +
      '"auto" takes the Rust engine if its binary loads, else node:http.',
  },
  worker_nice: {
    section: 'Worker Processes',
    flags: ['--worker-nice'],
    kind: integer(-20, 19),
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Number added to the niceness of workers, as by nice(1). ' +
      'Above 0, other programs on the machine take precedence. Below 0 requires privileges.',
  },
  worker_cpu_affinity: {
    section: 'Worker Processes',
    flags: ['--worker-cpu-affinity'],
    kind: choice(['off', 'auto']),
    default: 'off',
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Whether each worker is bound to one processor. ' +
      '"auto" assigns the processors available to this process in turn. ' +
      'It requires the native addon.',
  },
  affinity: {
    section: 'Worker Processes',
    flags: ['--affinity'],
    kind: sessionKey,
    default: 'off',
    status: 'supported',
    readBy: 'arbiter and worker',
    engine: { type: 'text', register: 'off', node: 'ignored' },
    doc:
      'Key of a session whose requests all go to the same worker. ' +
      '"ip" is the address of the client, "cookie:NAME" the value of a cookie, "query:NAME" the ' +
      'value of a parameter in the URL: "query:sid" fits Socket.IO. ' +
      'A connection moves to the worker of its session before a request is served. ' +
      'On TLS connections only "ip" has an effect. It requires the native engine on Linux.',
  },
  one_worker: {
    section: 'Worker Processes',
    flags: ['--one-worker'],
    kind: orNull(text('FILE:EXPORT')),
    default: null,
    status: 'supported',
    readBy: 'worker',
    doc:
      'Function that exactly one worker runs, for a schedule or the consumer of a queue. ' +
      'The value is FILE or FILE:EXPORT; without EXPORT it is the default export. ' +
      'The function receives an AbortSignal. When the worker stops, the signal aborts. Another ' +
      'worker runs the function as soon as the promise that it returned is settled.',
  },
  on_uncaught: {
    section: 'Worker Processes',
    flags: ['--on-uncaught'],
    kind: choice(['recycle', 'continue', 'exit']),
    default: 'recycle',
    status: 'supported',
    readBy: 'worker',
    doc:
      'What a worker does after an error that the application did not catch. ' +
      'The error is logged, and the request gets a 500 if nothing was sent. ' +
      '"recycle" keeps serving until a successor is ready (one worker at a time, at most one ' +
      'every 5 seconds). "continue" keeps serving. "exit" exits with status 1, as Node does.',
  },
} as const satisfies Record<string, Row>
