/**
 * Settings that the engines read, for code that runs in workers and does not load the table.
 *
 * Written by scripts/gen-engine-settings.ts from ts/settings/table.ts.
 * `npm run gen` writes it again.
 */
import type { EngineSettingName, EngineSettings } from '../settings/engine.ts'

/**
 * Values of the engine settings under `monoceros/register`, where the limits of Node's own server
 * apply.
 */
export const REGISTER_SETTINGS: EngineSettings = {
  worker_connections: 0,
  queue_delay_target: 0,
  keepalive: 5,
  affinity: 'off',
  limit_request_line: 0,
  limit_request_fields: 0,
  limit_request_field_size: 0,
  limit_request_body: 0,
  request_buffer_size: 65_536,
  request_buffer_time: 0,
  buffer_memory: 0,
  limit_requests_per_connection: 0,
  limit_connections_per_address: 0,
  header_timeout: 0,
  body_timeout: 0,
  body_min_rate: 0,
  request_timeout: 0,
  write_timeout: 0,
  write_min_rate: 0,
  linger_timeout: 2,
  response_buffer_size: 65_536,
  secure_scheme_headers: {},
  forwarded_allow_ips: '',
  forwarded_headers: 'off',
  proxy_protocol: 'off',
  proxy_allow_ips: '',
  permit_unconventional_http_method: false,
  casefold_http_method: false,
  forwarder_headers: '',
  header_map: 'drop',
  root_path: '',
  accesslog: null,
  access_log_format: '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
  health_paths: '',
  handshake_timeout: 10,
  limit_handshakes: 1000,
  http2_max_concurrent_streams: 100,
  http2_initial_window_size: 262_144,
  http2_max_frame_size: 16_384,
  http2_max_header_list_size: 65_536,
  http2_max_resets: 1000,
  http2_max_idle_frames: 10_000,
}

/** The names of all settings that the engines read. */
export const ENGINE_SETTINGS = Object.keys(REGISTER_SETTINGS) as readonly EngineSettingName[]

/** Settings that have no effect on `node:http`. */
export const IGNORED_BY_NODE = [
  'queue_delay_target',
  'affinity',
  'request_buffer_size',
  'request_buffer_time',
  'buffer_memory',
  'limit_connections_per_address',
  'body_timeout',
  'body_min_rate',
  'write_timeout',
  'write_min_rate',
  'linger_timeout',
  'response_buffer_size',
  'proxy_protocol',
  'proxy_allow_ips',
  'permit_unconventional_http_method',
  'casefold_http_method',
  'limit_handshakes',
  'http2_max_concurrent_streams',
  'http2_initial_window_size',
  'http2_max_frame_size',
  'http2_max_header_list_size',
  'http2_max_resets',
  'http2_max_idle_frames',
] as const satisfies readonly EngineSettingName[]
