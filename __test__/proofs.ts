// Which test shows that a setting, a signal or a hook does what its page says: docs/gunicorn.md names it. That each one
// is there, __test__/docs/proofs.spec.ts checks.

import type { HookName } from '../ts/hooks/table.ts'
import type { LogLineName } from '../ts/log/log-lines.ts'
import type { RowName } from '../ts/settings/names.ts'
import type { SignalName } from '../ts/signals.ts'

const P = 'process'
const ENGINE = 'crates/engine/tests/protocol'
const GOLDEN = `${ENGINE}/golden.rs › valid_requests_reach_javascript_as_expected`
const LIMITS = `${ENGINE}/limits.rs`

/** Of settings that work. */
export const SETTING_PROOFS: Partial<Record<RowName, string>> = {
  config: 'settings/file.spec.ts › is loaded, and loaded again after a change',
  app: 'worker/app.spec.ts › is split',
  bind: `${P}/binds.spec.ts › addresses come and go, the one that stays loses nothing`,
  listen_port: `${P}/extra-listeners.spec.ts › listen_port selects the server that is served at the addresses`,
  backlog: `${P}/statsd.spec.ts › the backlog in the kernel is reported every second`,
  workers: `${P}/signals.spec.ts › HUP takes new settings: workers, environment, addresses`,
  worker_class: 'settings/config.spec.ts › means auto, with one warning',
  worker_connections: `${ENGINE}/refusals.rs › a_request_beyond_worker_connections_is_answered_503`,
  max_requests: `${P}/failures.spec.ts › max_requests replaces a worker once its successor is ready`,
  max_requests_jitter:
    'arbiter/recycling.spec.ts › max_requests replaces one worker at a time, its successor first',
  max_worker_lifetime:
    'arbiter/recycling.spec.ts › a worker above max_worker_memory or max_worker_lifetime is replaced',
  max_worker_lifetime_jitter:
    'arbiter/recycling.spec.ts › a worker above max_worker_memory or max_worker_lifetime is replaced',
  max_worker_memory: 'arbiter/recycling.spec.ts › a worker above max_worker_memory',
  timeout: `${P}/blocked.spec.ts › one JSON.parse that outlasts the timeout is named when it ends`,
  boot_timeout: `${P}/failures.spec.ts › an application that is not ready within boot_timeout: 3`,
  graceful_timeout:
    'arbiter/arbiter.spec.ts › a worker that does not finish within graceful_timeout is killed',
  max_surge:
    'arbiter/arbiter.spec.ts › a reload with max_surge replaces several workers at the same time',
  keepalive:
    "http/program-limits.spec.ts › keepAliveTimeout: default, the application's, the operator's",
  asgi_lifespan: `${P}/hooks.spec.ts › startup and shutdown of the application are waited for`,
  engine: `${P}/failures.spec.ts › a handler that throws or rejects gets 500, and the worker keeps serving`,
  worker_nice: `${P}/users.spec.ts › workers are nicer and keep to a processor each when they shall`,
  worker_cpu_affinity: `${P}/users.spec.ts › workers are nicer and keep to a processor each when they shall`,
  on_uncaught: `${P}/failures.spec.ts › on_uncaught "exit" ends the worker as node does`,
  limit_request_line: `${LIMITS} › the_request_line_is_limited_exactly`,
  limit_request_fields: `${LIMITS} › the_number_of_fields_is_limited_exactly`,
  limit_request_field_size: `${LIMITS} › a_field_is_limited_exactly`,
  limit_request_body: `${LIMITS} › a_body_is_limited_exactly`,
  request_buffer_size: `${ENGINE}/memory.rs › a_body_beyond_the_buffer_does_not_wait`,
  request_buffer_time: 'wire/deadlines.spec.ts › request_buffer_time limits the wait for a body',
  buffer_memory: `${ENGINE}/memory.rs › at_the_bound_the_newest_readers_are_shed_and_others_are_served`,
  limit_requests_per_connection:
    'wire/limits.spec.ts › limit_requests_per_connection sends Connection: close with the last response',
  limit_connections_per_address: `${LIMITS} › the_connections_of_an_address_are_limited_exactly`,
  header_timeout: 'wire/deadlines.spec.ts › header_timeout is not restarted by a byte',
  body_timeout: 'wire/deadlines.spec.ts › body_timeout is restarted by every byte',
  body_min_rate: 'wire/deadlines.spec.ts › body_min_rate closes a slow upload after 20 seconds',
  request_timeout: 'wire/deadlines.spec.ts › request_timeout sends 504 and aborts the request',
  write_timeout:
    'wire/deadlines.spec.ts › write_timeout closes the connection of a client that does not read',
  write_min_rate: `${ENGINE}/deadlines.rs › a_client_that_reads_in_drips_is_reset`,
  linger_timeout:
    'wire/deadlines.spec.ts › linger_timeout keeps a refused connection open for the client to read',
  response_buffer_size: 'engine/native/slow-readers.spec.ts',
  reload: `${P}/reload.spec.ts › a file that is saved is served, and nothing is lost`,
  reload_engine: `${P}/reload.spec.ts › extra files and patterns count, and what else is there does not`,
  reload_extra_files: `${P}/reload.spec.ts › extra files and patterns count, and what else is there does not`,
  inspect: `${P}/inspect.spec.ts › --inspect: each worker has a port`,
  inspect_brk: `${P}/inspect.spec.ts › --inspect-brk: the worker waits for a debugger before it loads the application`,
  check_config: 'cli/main.spec.ts › --check-config loads the application and exits 0',
  print_config:
    'settings/pages.spec.ts › --print-config shows every setting by name with its value and origin',
  preload_app: `${P}/identity.spec.ts › preload_app loads the application first, and ends with its error`,
  reuse_port:
    'crates/engine/src/transport/listener/bind.rs › reuse_port_lets_two_sockets_bind_one_address',
  chdir:
    'settings/config.spec.ts › chdir becomes absolute and does not affect the search for the config file',
  daemon: `${P}/daemon.spec.ts › the command ends with 0 when the daemon serves`,
  raw_env: `${P}/identity.spec.ts › the application sees its worker, its instance, the port and no channel of node`,
  pidfile: `${P}/taken.spec.ts › a pidfile of a living process: 1; of a dead one it is replaced`,
  user: `${P}/users.spec.ts › workers are the user and have none of the groups of root`,
  group: `${P}/users.spec.ts › numbers and a group of its own are taken, and all groups of the user`,
  umask: `${P}/users.spec.ts › the file of a unix socket has a mode according to umask`,
  initgroups: `${P}/users.spec.ts › numbers and a group of its own are taken, and all groups of the user`,
  secure_scheme_headers: GOLDEN,
  forwarded_allow_ips: GOLDEN,
  forwarded_headers: GOLDEN,
  proxy_protocol:
    'wire/proxy.spec.ts › both versions set the client address of every request of a connection',
  proxy_allow_ips:
    'wire/proxy.spec.ts › a client that is not trusted gets 403 with the header, and is served without it',
  permit_unconventional_http_method: GOLDEN,
  casefold_http_method: GOLDEN,
  forwarder_headers: GOLDEN,
  header_map: GOLDEN,
  root_path: GOLDEN,
  accesslog: `${P}/logs.spec.ts › rotation by USR1 loses no line of either log`,
  disable_redirect_access_to_syslog: `${P}/syslog.spec.ts › disable_redirect_access_to_syslog keeps the access log out of syslog`,
  access_log_format: `${P}/output.spec.ts › both logs as JSON, whatever is in them`,
  errorlog: `${P}/logs.spec.ts › a full disk for the error log is reported once, and the server keeps running`,
  error_log_format: `${P}/output.spec.ts › both logs as JSON, whatever is in them`,
  loglevel: 'log/logger.spec.ts › a new log target is used at once, unless it cannot be opened',
  capture_output: `${P}/output.spec.ts › what a worker prints is in the error log, line by line`,
  logger_class: `${P}/output.spec.ts › a logger of the operator writes the error log, in arbiter and workers`,
  logconfig: 'settings/config.spec.ts › logconfig overrides the same settings given one by one',
  logconfig_dict:
    'settings/config.spec.ts › logconfig overrides the same settings given one by one',
  logconfig_json:
    'settings/config.spec.ts › logconfig overrides the same settings given one by one',
  syslog_addr: `${P}/syslog.spec.ts › syslog at a unix datagram socket, as /dev/log is`,
  syslog: `${P}/syslog.spec.ts › syslog over UDP gets both logs, with priority and tag`,
  syslog_prefix: `${P}/syslog.spec.ts › syslog over UDP gets both logs, with priority and tag`,
  syslog_facility: `${P}/syslog.spec.ts › syslog over UDP gets both logs, with priority and tag`,
  enable_stdio_inheritance: `${P}/daemon.spec.ts › with -R it keeps its standard error`,
  statsd_host: `${P}/statsd.spec.ts › statsd counts every request, its status and its duration`,
  dogstatsd_tags: `${P}/statsd.spec.ts › statsd counts every request, its status and its duration`,
  statsd_prefix: `${P}/statsd.spec.ts › statsd counts every request, its status and its duration`,
  enable_backlog_metric: `${P}/statsd.spec.ts › the backlog in the kernel is reported every second`,
  proc_name: `${P}/identity.spec.ts › a worker's title is whole in ps`,
  keyfile: 'tls/serving.spec.ts › certfile enables TLS on every address',
  certfile: 'tls/serving.spec.ts › certfile enables TLS on every address',
  suppress_ragged_eofs: 'tls/ragged.spec.ts › no close_notify, suppress_ragged_eofs',
  ocsp_file: 'tls/staple.spec.ts › clients that ask for it get the OCSP response of ocsp_file',
  keyfile_password: 'tls/names.spec.ts › keys of every format are read, with keyfile_password',
  certificates: 'tls/names.spec.ts › a client gets the certificate of the host name in its SNI',
  tls_min_version:
    'tls/names.spec.ts › only the TLS versions and ciphers of the settings are offered',
  tls_max_version:
    'tls/names.spec.ts › only the TLS versions and ciphers of the settings are offered',
  handshake_timeout:
    'crates/engine/tests/protocol/tls.rs › a_handshake_that_stalls_is_cut_and_holds_up_nobody',
  limit_handshakes: 'crates/engine/tests/protocol/tls.rs › one_handshake_too_many_ends_the_oldest',
  dev_tls: 'tls/development.spec.ts › --dev-tls creates one certificate and logs its path',
  cert_reqs: 'tls/clients.spec.ts › cert_reqs 2 admits only certificates of the CA that are valid',
  ca_certs: 'tls/clients.spec.ts › cert_reqs 2 admits only certificates of the CA that are valid',
  crl_file: "tls/renewal.spec.ts › revoking a client's certificate ends its session",
  ciphers: 'tls/names.spec.ts › only the TLS versions and ciphers of the settings are offered',
  http_protocols:
    'http2/serving.spec.ts › a handler receives an HTTP/1.1 request, and its socket shows h2',
  http2_cleartext:
    'http2/serving.spec.ts › a handler receives an HTTP/1.1 request, and its socket shows h2',
  http2_max_concurrent_streams:
    'http2/serving.spec.ts › a client receives the configured HTTP/2 settings',
  http2_initial_window_size:
    'http2/serving.spec.ts › a client receives the configured HTTP/2 settings',
  http2_max_frame_size: 'http2/serving.spec.ts › a client receives the configured HTTP/2 settings',
  http2_max_header_list_size:
    'http2/serving.spec.ts › a client receives the configured HTTP/2 settings',
  http2_max_resets:
    'crates/engine/tests/protocol/http2_floods.rs › requests_that_are_taken_back_again_and_again_end_their_connection',
  http2_max_idle_frames:
    'crates/engine/tests/protocol/http2_floods.rs › floods_of_frames_that_bring_nothing_end_their_connection',
}

/** Of settings that are refused until they are built, and of those without meaning. */
export const LATER_PROOF =
  'settings/unbuilt.spec.ts › a setting that is not supported yet is rejected by its name'
export const NONE_PROOF =
  'settings/unbuilt.spec.ts › a setting without meaning is ignored, warned about or rejected'

const SIGNALS_SPEC = `${P}/signals.spec.ts`
const STATES = 'arbiter/reactions.spec.ts'

export const SIGNAL_PROOFS: Record<SignalName, string> = {
  TERM: `${SIGNALS_SPEC} › TERM answers what is in flight and exits with 0`,
  INT: 'arbiter/arbiter.spec.ts › INT limits a graceful stop to two seconds',
  QUIT: STATES,
  HUP: `${SIGNALS_SPEC} › HUP takes new settings: workers, environment, addresses`,
  TTIN: `${P}/load.spec.ts › HUP, TTIN and TTOU under load lose nothing`,
  TTOU: `${P}/load.spec.ts › HUP, TTIN and TTOU under load lose nothing`,
  USR1: `${P}/logs.spec.ts › rotation by USR1 loses no line of either log`,
  USR2: `${P}/upgrade.spec.ts › USR2 and TERM to the old arbiter lose nothing`,
  WINCH: STATES,
  CHLD: `${P}/identity.spec.ts › as process 1 of a container it reaps orphans`,
  ABRT: `${P}/hooks.spec.ts › worker_abort is called at ABRT, and the worker ends with 1`,
}

const HOOKS_SPEC = `${P}/hooks.spec.ts`
const ORDER = `${HOOKS_SPEC} › hooks come in their order and in their process`

export const HOOK_PROOFS: Record<HookName, string> = {
  on_starting: ORDER,
  on_reload: `${HOOKS_SPEC} › an exception in on_reload gives the reload up`,
  when_ready: ORDER,
  pre_fork: ORDER,
  post_fork: ORDER,
  post_worker_init: ORDER,
  worker_int: ORDER,
  worker_abort: `${HOOKS_SPEC} › worker_abort is called at ABRT, and the worker ends with 1`,
  pre_exec: `${HOOKS_SPEC} › pre_exec is called in the arbiter before a new one is started`,
  pre_request: ORDER,
  post_request: ORDER,
  child_exit: ORDER,
  worker_exit: ORDER,
  nworkers_changed: ORDER,
  on_exit: ORDER,
  ssl_context: 'tls/development.spec.ts › the hook ssl_context can add to the certificates',
}

/** Of lines of the log. */
export const LINE_PROOFS: Partial<Record<LogLineName, string>> = {
  openFileLimit: 'docs/faq.spec.ts › How can I raise the number of open files?',
  notifyFailed: `${P}/systemd.spec.ts › a notification that fails does not keep it from serving`,
  notifyUnavailable: `${P}/systemd.spec.ts › a notification that fails does not keep it from serving`,
  socketFromSystemd: `${P}/systemd.spec.ts › serves the socket of systemd instead of bind`,
  starting: `${P}/identity.spec.ts › the application sees its worker, its instance, the port and no channel of node`,
  listening: `${P}/systemd.spec.ts › serves the socket of systemd instead of bind`,
  usingEngine: `${P}/blocked.spec.ts › without the addon a JavaScript thread finds the place`,
  addressInUse: `${P}/taken.spec.ts › a port in use: 1, after five tries`,
  retryingBind: `${P}/taken.spec.ts › TERM while the port is waited for: 0`,
  extraListening: `${P}/extra-listeners.spec.ts › every worker listens on the further server's port, through a reload`,
  extraListenFailed: `${P}/extra-listeners.spec.ts › a further port that is taken is the program's to deal with`,
  handlingSignal: `${P}/output.spec.ts › a logger of the operator writes the error log, in arbiter and workers`,
  workerBooting: `${P}/failures.spec.ts › max_requests replaces a worker once its successor is ready`,
  workerReady: `${P}/signals.spec.ts › HUP takes new settings: workers, environment, addresses`,
  workerExiting: `${P}/failures.spec.ts › after an uncaught error a successor comes first`,
  workerSignaled: `${P}/booting.spec.ts › INT to a worker that serves: replaced at once, and no crash`,
  workerTerminated: `${P}/failures.spec.ts › a killed worker is replaced at once`,
  workerKilledBySignal:
    'arbiter/arbiter.spec.ts › a worker killed by SIGSEGV is logged as a warning',
  workerKilled:
    'arbiter/arbiter.spec.ts › a worker without a heartbeat is replaced, aborted and then killed',
  workerKilledExternally: `${P}/failures.spec.ts › a killed worker is replaced at once`,
  workerKilledByOom: `${P}/memory.spec.ts › an out-of-memory kill by the kernel is logged as such`,
  workerHeapFull: `${P}/memory.spec.ts › a full heap is named, the others serve on, pauses grow`,
  workerExited: `${P}/failures.spec.ts › workers that end by themselves are replaced after growing pauses`,
  restartDelayed: `${P}/memory.spec.ts › a full heap is named, the others serve on, pauses grow`,
  workerRecycled: `${P}/failures.spec.ts › max_requests replaces a worker once its successor is ready`,
  workerTimeout: `${P}/failures.spec.ts › a blocked event loop is ended after timeout and replaced`,
  blockedInJavaScript: `${P}/blocked.spec.ts › a place in a file with a source map is the place in what was written`,
  blockedInSystemCall: `${P}/blocked.spec.ts › blocked in the system call openat`,
  blockedInNativeCode:
    'arbiter/arbiter.spec.ts › the block report is logged before a blocked worker is aborted',
  inFlightRequests:
    'arbiter/arbiter.spec.ts › the block report is logged before a blocked worker is aborted',
  killingWorker: `${P}/reload.spec.ts › a short request is finished, and a blocked worker is killed`,
  workerCountLimited: `${P}/signals.spec.ts › TTIN adds a worker, TTOU takes the oldest away but never the last`,
  reloadComplete: `${P}/signals.spec.ts › HUP takes new settings: workers, environment, addresses`,
  reloadFailed: `${P}/binds.spec.ts › a port that is taken at a reload: a message, and the old set serves on`,
  fileChanged: `${P}/reload.spec.ts › a file that is saved is served, and nothing is lost`,
  watchingPath: `${P}/reload.spec.ts › a file that is saved is served, and nothing is lost`,
  watcherFailed:
    'arbiter/dev-reload.spec.ts › a file watcher that cannot start does not stop the server',
  backlogMetricUnavailable: `${P}/statsd.spec.ts › without the addon the backlog is unknown, which is logged once`,
  upgradeStarting: `${P}/upgrade.spec.ts › USR2 and TERM to the old arbiter lose nothing`,
  takingOver: `${P}/upgrade.spec.ts › USR2 and TERM to the old arbiter lose nothing`,
  upgradeFailed: `${P}/upgrade.spec.ts › a new arbiter that cannot start does not change the old one`,
  upgradeReady: `${P}/upgrade.spec.ts › the old arbiter is killed: the new one has everything`,
  promoted: `${P}/upgrade.spec.ts › USR2 and TERM to the old arbiter lose nothing`,
  signalRefused: `${P}/upgrade.spec.ts › USR2 and TERM to the old arbiter lose nothing`,
  stoppingAllWorkers: `${P}/upgrade.spec.ts › USR2, WINCH and the way back lose nothing`,
  winchIgnored: `${P}/signals.spec.ts › WINCH is ignored in the foreground, where a terminal sends it`,
  restartingAllWorkers: `${P}/upgrade.spec.ts › USR2, WINCH and the way back lose nothing`,
  quickShutdown: `${P}/signals.spec.ts › INT during a graceful stop ends it within two seconds`,
  shutDown: `${P}/identity.spec.ts › the application sees its worker, its instance, the port and no channel of node`,
  shutDownAfterError:
    'arbiter/arbiter.spec.ts › a start whose application fails exits with its status and logs one message',
  shutdownReason:
    'arbiter/arbiter.spec.ts › a start whose application fails exits with its status and logs one message',
  hookFailed: `${P}/hooks.spec.ts › hooks come in their order and in their process`,
  unexpectedError:
    'arbiter/arbiter.spec.ts › a reload whose settings cannot be read changes nothing',
  workerEngine: `${P}/blocked.spec.ts › without the addon a JavaScript thread finds the place`,
  blockWatcherStarted: `${P}/blocked.spec.ts › without the addon a JavaScript thread finds the place`,
  serverClosedByApp: `${P}/extra-listeners.spec.ts › a worker whose program closes its server accepts nothing until it listens again`,
  appIgnoresSigterm: `${P}/app-sigterm.spec.ts › it has no longer than graceful_timeout`,
  uncaughtError: `${P}/output.spec.ts › both logs as JSON, whatever is in them`,
  unhandledRejection: `${P}/failures.spec.ts › a handler that throws or rejects gets 500, and the worker keeps serving`,
  requestFailed: 'http/errors.spec.ts › gets a 500 response and is logged',
  responseBodyFailed: 'http/errors.spec.ts › a response body that fails is cut off and logged',
  waitUntilRejected: `${P}/background.spec.ts › work that fails is logged, and nothing else happens`,
  shutdownFailed: `${P}/hooks.spec.ts › a shutdown that fails is logged, and the worker ends all the same`,
}

/** Of what no test can bring about: a file system that stops telling of changes, a thread that fails. */
export const UNPROVED_LINES: readonly LogLineName[] = ['watchFailed', 'blockWatcherFailed']
