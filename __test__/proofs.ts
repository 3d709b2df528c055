// Each setting with the test that proves what its page states. docs/gunicorn.md
// names these tests. `npm test` checks that each used what it proves (scripts/proof-record.ts).

import type { RowName } from '../ts/settings/names.ts'

/** The name of a test: its file and its title. */
export const proof = (file: string, title: string): string => `${file} › ${title}`

const P = 'process'
const ENGINE = 'crates/engine/tests/protocol'
const LIMITS = `${ENGINE}/limits.rs`

/** Proofs of settings that are supported. */
export const SETTING_PROOFS: Partial<Record<RowName, string>> = {
  config: proof('settings/file.spec.ts', 'is loaded, and loaded again after a change'),
  app: proof(`${P}/signals.spec.ts`, 'HUP serves the new application, one worker after the other'),
  app_args: proof(`${P}/main-module.spec.ts`, 'process.argv has the arguments of the application'),
  bind: proof(`${P}/binds.spec.ts`, 'addresses come and go, the one that stays loses nothing'),
  listen_port: proof(
    `${P}/extra-listeners.spec.ts`,
    'listen_port selects the server that is served at the addresses',
  ),
  backlog: proof(
    `${P}/server-mechanics.spec.ts`,
    'the kernel queues as many connections as backlog',
  ),
  workers: proof(`${P}/signals.spec.ts`, 'HUP takes new settings: workers, environment, addresses'),
  worker_class: proof(
    `${P}/typescript.spec.ts`,
    'logger, adapter and hook are taken in TypeScript as well',
  ),
  worker_connections: proof(
    `${ENGINE}/refusals.rs`,
    'a_request_beyond_worker_connections_is_answered_503',
  ),
  queue_delay_target: proof(
    `${P}/overload.spec.ts`,
    'beyond the capacity, the oldest requests get a 503 until the load falls',
  ),
  max_requests: proof(
    `${P}/failures.spec.ts`,
    'max_requests replaces a worker once its successor is ready',
  ),
  max_requests_jitter: proof(
    'arbiter/recycling.spec.ts',
    'max_requests replaces one worker at a time, its successor first',
  ),
  max_worker_lifetime: proof(
    'arbiter/recycling.spec.ts',
    'a worker above max_worker_memory or max_worker_lifetime is replaced',
  ),
  max_worker_lifetime_jitter: proof(
    'arbiter/recycling.spec.ts',
    'max_worker_lifetime_jitter adds a random time to max_worker_lifetime',
  ),
  max_worker_memory: proof('arbiter/recycling.spec.ts', 'a worker above max_worker_memory'),
  timeout: proof(
    `${P}/blocked.spec.ts`,
    'one JSON.parse that outlasts the timeout is named when it ends',
  ),
  boot_timeout: proof(
    `${P}/failures.spec.ts`,
    'an application that is not ready within boot_timeout: 3',
  ),
  graceful_timeout: proof(
    'arbiter/arbiter.spec.ts',
    'a worker that does not finish within graceful_timeout is killed',
  ),
  max_surge: proof(
    'arbiter/arbiter.spec.ts',
    'a reload with max_surge replaces several workers at the same time',
  ),
  keepalive: proof(
    'wire/deadlines.spec.ts',
    'keepalive closes an idle connection without a response',
  ),
  asgi_lifespan: proof(`${P}/lifespan.spec.ts`, 'decides about both calls'),
  asgi_disconnect_grace_period: proof(
    `${P}/disconnect.spec.ts`,
    'handler has asgi_disconnect_grace_period',
  ),
  websocket_max_message_size: proof(
    `${P}/websocket-limit.spec.ts`,
    'websocket_max_message_size closes with 1009',
  ),
  engine: proof(`${P}/server-mechanics.spec.ts`, 'engine selects the engine of the workers'),
  worker_nice: proof(
    `${P}/users.spec.ts`,
    'workers are nicer and keep to a processor each when they shall',
  ),
  worker_cpu_affinity: proof(
    `${P}/users.spec.ts`,
    'workers are nicer and keep to a processor each when they shall',
  ),
  affinity: proof(
    `${P}/affinity.spec.ts`,
    'Socket.IO works with its default transports, and reconnects after a reload',
  ),
  one_worker: proof(`${P}/one-worker.spec.ts`, 'one_worker names a function that one worker runs'),
  on_uncaught: proof(`${P}/failures.spec.ts`, 'on_uncaught "exit" ends the worker as node does'),
  limit_request_line: proof(`${LIMITS}`, 'the_request_line_is_limited_exactly'),
  limit_request_fields: proof(`${LIMITS}`, 'the_number_of_fields_is_limited_exactly'),
  limit_request_field_size: proof(`${LIMITS}`, 'a_field_is_limited_exactly'),
  limit_request_body: proof(`${LIMITS}`, 'a_body_is_limited_exactly'),
  request_buffer_size: proof(
    'wire/buffers.spec.ts',
    'a request is passed on when request_buffer_size of its body have arrived',
  ),
  request_buffer_time: proof(
    'wire/deadlines.spec.ts',
    'request_buffer_time limits the wait for a body',
  ),
  buffer_memory: proof(
    'wire/buffers.spec.ts',
    'bodies that exceed buffer_memory get a 503, and the others are served',
  ),
  limit_requests_per_connection: proof(
    'wire/limits.spec.ts',
    'limit_requests_per_connection sends Connection: close with the last response',
  ),
  limit_connections_per_address: proof(
    `${LIMITS}`,
    'the_connections_of_an_address_are_limited_exactly',
  ),
  header_timeout: proof('wire/deadlines.spec.ts', 'header_timeout is not restarted by a byte'),
  body_timeout: proof('wire/deadlines.spec.ts', 'body_timeout is restarted by every byte'),
  body_min_rate: proof(
    'wire/deadlines.spec.ts',
    'body_min_rate and write_min_rate end slow clients after 20 s',
  ),
  request_timeout: proof(
    'wire/deadlines.spec.ts',
    'request_timeout sends 504 and aborts the request',
  ),
  write_timeout: proof(
    'wire/deadlines.spec.ts',
    'write_timeout closes the connection of a client that does not read',
  ),
  write_min_rate: proof(
    'wire/deadlines.spec.ts',
    'body_min_rate and write_min_rate end slow clients after 20 s',
  ),
  linger_timeout: proof(
    'wire/deadlines.spec.ts',
    'linger_timeout keeps a refused connection open for the client to read',
  ),
  response_buffer_size: proof(
    'engine/native/response-buffer.spec.ts',
    'write() returns false at response_buffer_size',
  ),
  reload: proof(`${P}/reload.spec.ts`, 'a file that is saved is served, and nothing is lost'),
  reload_engine: proof(
    `${P}/reload.spec.ts`,
    'extra files and patterns count, and what else is there does not',
  ),
  reload_extra_files: proof(
    `${P}/reload.spec.ts`,
    'extra files and patterns count, and what else is there does not',
  ),
  inspect: proof(
    `${P}/inspect.spec.ts`,
    '--inspect: each worker has a port, where a debugger can stop it',
  ),
  inspect_brk: proof(
    `${P}/inspect.spec.ts`,
    '--inspect-brk: the worker waits for a debugger before it loads the application',
  ),
  check_config: proof('cli/main.spec.ts', '--check-config loads the application and exits 0'),
  print_config: proof('cli/main.spec.ts', '--print-config prints every setting with its origin'),
  preload_app: proof(
    `${P}/identity.spec.ts`,
    'preload_app loads the application first, and ends with its error',
  ),
  reuse_port: proof(
    `${P}/server-mechanics.spec.ts`,
    'reuse_port lets two instances serve one port',
  ),
  chdir: proof(
    `${P}/server-mechanics.spec.ts`,
    'chdir is the directory of the workers and of relative paths',
  ),
  daemon: proof(`${P}/daemon.spec.ts`, 'the command ends with 0 when the daemon serves'),
  raw_env: proof(
    `${P}/identity.spec.ts`,
    'the application sees its worker, its instance, the port and no channel of node',
  ),
  pidfile: proof(
    `${P}/taken.spec.ts`,
    'a pidfile of a living process: 1; of a dead one it is replaced',
  ),
  user: proof(`${P}/users.spec.ts`, 'workers are the user and have none of the groups of root'),
  group: proof(`${P}/users.spec.ts`, 'numbers for the user and the group are taken'),
  umask: proof(`${P}/users.spec.ts`, 'the file of a unix socket has a mode according to umask'),
  initgroups: proof(`${P}/users.spec.ts`, 'initgroups adds the further groups of the user'),
  secure_scheme_headers: proof(
    'wire/forwarding.spec.ts',
    'secure_scheme_headers selects the fields that report https',
  ),
  forwarded_allow_ips: proof(
    'wire/forwarding.spec.ts',
    'X-Forwarded-For and X-Forwarded-Host set address and host',
  ),
  forwarded_headers: proof(
    'wire/forwarding.spec.ts',
    'X-Forwarded-For and X-Forwarded-Host set address and host',
  ),
  proxy_protocol: proof(
    'wire/proxy.spec.ts',
    'both versions set the client address of every request of a connection',
  ),
  proxy_allow_ips: proof(
    'wire/proxy.spec.ts',
    'a client that is not trusted gets 403 with the header, and is served without it',
  ),
  permit_unconventional_http_method: proof(
    'wire/methods.spec.ts',
    'permit_unconventional_http_method passes on a method in lower case',
  ),
  casefold_http_method: proof(
    'wire/methods.spec.ts',
    'casefold_http_method converts a method to upper case',
  ),
  forwarder_headers: proof(
    'wire/forwarding.spec.ts',
    'forwarder_headers selects the fields with underscores that a trusted proxy may set',
  ),
  header_map: proof(
    'wire/forwarding.spec.ts',
    'header_map "refuse" rejects a field with an underscore',
  ),
  root_path: proof('wire/forwarding.spec.ts', 'root_path sets the mount path'),
  accesslog: proof(`${P}/logs.spec.ts`, 'rotation by USR1 loses no line of either log'),
  disable_redirect_access_to_syslog: proof(
    `${P}/syslog.spec.ts`,
    'disable_redirect_access_to_syslog keeps the access log out of syslog',
  ),
  access_log_format: proof(`${P}/output.spec.ts`, 'both logs as JSON, whatever is in them'),
  errorlog: proof(`${P}/logs.spec.ts`, 'rotation by USR1 loses no line of either log'),
  error_log_format: proof(`${P}/output.spec.ts`, 'both logs as JSON, whatever is in them'),
  loglevel: proof('log/logger.spec.ts', 'log lines below the level are not written'),
  capture_output: proof(
    `${P}/output.spec.ts`,
    'what a worker prints is in the error log, line by line',
  ),
  logger_class: proof(
    `${P}/output.spec.ts`,
    'a logger of the operator writes the error log, in arbiter and workers',
  ),
  logconfig: proof(
    'settings/config.spec.ts',
    'logconfig overrides the same settings given one by one',
  ),
  logconfig_dict: proof(
    'settings/config.spec.ts',
    'logconfig overrides the same settings given one by one',
  ),
  logconfig_json: proof(
    'settings/config.spec.ts',
    'logconfig_dict overrides logconfig_json, which overrides logconfig',
  ),
  syslog_addr: proof(`${P}/syslog.spec.ts`, 'syslog at a unix datagram socket, as /dev/log is'),
  syslog: proof(`${P}/syslog.spec.ts`, 'syslog over UDP gets both logs, with priority and tag'),
  syslog_prefix: proof(
    `${P}/syslog.spec.ts`,
    'syslog over UDP gets both logs, with priority and tag',
  ),
  syslog_facility: proof(
    `${P}/syslog.spec.ts`,
    'syslog over UDP gets both logs, with priority and tag',
  ),
  enable_stdio_inheritance: proof(`${P}/daemon.spec.ts`, 'with -R it keeps its standard error'),
  statsd_host: proof(
    `${P}/statsd.spec.ts`,
    'statsd counts every request, its status and its duration',
  ),
  dogstatsd_tags: proof(
    `${P}/statsd.spec.ts`,
    'statsd counts every request, its status and its duration',
  ),
  statsd_prefix: proof(
    `${P}/statsd.spec.ts`,
    'statsd counts every request, its status and its duration',
  ),
  metrics_bind: proof(`${P}/metrics.spec.ts`, 'the page counts requests, in both formats'),
  health_paths: proof(`${P}/health.spec.ts`, 'health checks are answered at both places'),
  drain_delay: proof(`${P}/health.spec.ts`, 'drain_delay fails readiness before the stop'),
  enable_backlog_metric: proof(
    `${P}/statsd.spec.ts`,
    'the backlog in the kernel is reported every second',
  ),
  proc_name: proof(`${P}/identity.spec.ts`, "a worker's title is whole in ps"),
  keyfile: proof('tls/serving.spec.ts', 'certfile enables TLS on every address'),
  certfile: proof('tls/serving.spec.ts', 'certfile enables TLS on every address'),
  suppress_ragged_eofs: proof('tls/close-notify.spec.ts', 'no close_notify, suppress_ragged_eofs'),
  ocsp_file: proof(
    'tls/staple.spec.ts',
    'clients that ask for it get the OCSP response of ocsp_file',
  ),
  keyfile_password: proof(
    'tls/names.spec.ts',
    'keys of every format are read, with keyfile_password',
  ),
  certificates: proof(
    'tls/names.spec.ts',
    'a client gets the certificate of the host name in its SNI',
  ),
  tls_min_version: proof(
    'tls/names.spec.ts',
    'only the TLS versions and ciphers of the settings are offered',
  ),
  tls_max_version: proof(
    'tls/names.spec.ts',
    'only the TLS versions and ciphers of the settings are offered',
  ),
  handshake_timeout: proof(
    'crates/engine/tests/protocol/tls.rs',
    'a_handshake_that_stalls_is_cut_and_blocks_no_other_connection',
  ),
  limit_handshakes: proof(
    'wire/buffers.spec.ts',
    'a handshake beyond four times limit_handshakes evicts the oldest',
  ),
  dev_tls: proof('tls/development.spec.ts', '--dev-tls creates one certificate and logs its path'),
  cert_reqs: proof(
    'tls/clients.spec.ts',
    'cert_reqs 2 admits only certificates of the CA that are valid',
  ),
  ca_certs: proof(
    'tls/clients.spec.ts',
    'cert_reqs 2 admits only certificates of the CA that are valid',
  ),
  crl_file: proof('tls/renewal.spec.ts', "revoking a client's certificate ends its session"),
  ciphers: proof(
    'tls/names.spec.ts',
    'only the TLS versions and ciphers of the settings are offered',
  ),
  http_protocols: proof(
    'http2/settings.spec.ts',
    'with TLS, http_protocols selects the protocol of a client',
  ),
  http2_cleartext: proof('http2/settings.spec.ts', 'http2_cleartext "prior-knowledge"'),
  http2_max_concurrent_streams: proof(
    'http2/settings.spec.ts',
    'a stream above http2_max_concurrent_streams is refused',
  ),
  http2_initial_window_size: proof(
    'http2/settings.spec.ts',
    'a client that sends more than http2_initial_window_size at once is reset',
  ),
  http2_max_frame_size: proof(
    'http2/settings.spec.ts',
    'a frame longer than http2_max_frame_size closes the connection',
  ),
  http2_max_header_list_size: proof(
    'http2/settings.spec.ts',
    'fields larger than http2_max_header_list_size get a 431',
  ),
  control_socket: proof(
    'control/commands.spec.ts',
    'the file of a dead instance is replaced, that of a live one never',
  ),
  control_socket_mode: proof(
    'control/commands.spec.ts',
    'the file of a dead instance is replaced, that of a live one never',
  ),
  control_socket_disable: proof(
    'control/commands.spec.ts',
    'no control socket: a place that cannot be written, or by request',
  ),
  http2_max_resets: proof(
    'crates/engine/tests/protocol/http2_floods.rs',
    'requests_that_are_taken_back_again_and_again_end_their_connection',
  ),
  http2_max_idle_frames: proof(
    'crates/engine/tests/protocol/http2_floods.rs',
    'floods_of_frames_that_bring_nothing_end_their_connection',
  ),
}

/** Proofs of settings that are not supported yet, and of those without meaning. */
export const LATER_PROOF = proof(
  'settings/unbuilt.spec.ts',
  'a setting that is not supported yet is rejected by its name',
)
export const NONE_PROOF = proof(
  'settings/unbuilt.spec.ts',
  'a setting without meaning is ignored, warned about or rejected',
)
