// Checks the rules that every row of the settings table follows.
import test from 'ava'

import {
  ENVIRONMENT_PREFIX,
  findSettingName,
  ROWS,
  type RowName,
  settingNameOfVariable,
  variableOf,
} from '../../ts/settings/names.ts'
import { defaultText, firstSentence } from '../../ts/settings/print.ts'
import { SECTIONS } from '../../ts/settings/rows.ts'
import { HOOK_PROOFS } from '../hook-proofs.ts'
import { SETTING_PROOFS } from '../proofs.ts'
import { DEFAULTS } from './defaults.ts'

/** Every setting of Gunicorn 27.0.1, in the order of its documentation. */
const GUNICORN = `
config wsgi_app bind backlog workers worker_class threads worker_connections max_requests
max_requests_jitter timeout graceful_timeout keepalive asgi_loop asgi_lifespan
asgi_disconnect_grace_period websocket_max_message_size http_parser limit_request_line
limit_request_fields limit_request_field_size reload reload_engine reload_extra_files spew
check_config print_config preload_app sendfile reuse_port chdir daemon raw_env pidfile
worker_tmp_dir user group umask initgroups tmp_upload_dir secure_scheme_headers
forwarded_allow_ips pythonpath paste proxy_protocol proxy_allow_ips protocol uwsgi_allow_ips
raw_paste_global_conf permit_obsolete_folding strip_header_spaces
permit_unconventional_http_method permit_unconventional_http_version casefold_http_method
forwarder_headers header_map root_path accesslog disable_redirect_access_to_syslog
access_log_format errorlog loglevel capture_output logger_class logconfig logconfig_dict
logconfig_json syslog_addr syslog syslog_prefix syslog_facility enable_stdio_inheritance
statsd_host dogstatsd_tags statsd_prefix enable_backlog_metric proc_name default_proc_name keyfile
certfile ssl_version cert_reqs ca_certs suppress_ragged_eofs do_handshake_on_connect ciphers
http_protocols http2_cleartext http2_max_concurrent_streams http2_initial_window_size
http2_max_frame_size http2_max_header_list_size dirty_apps dirty_workers dirty_timeout
dirty_threads dirty_graceful_timeout control_socket control_socket_mode control_socket_disable
on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort
pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context
on_dirty_starting dirty_post_fork dirty_worker_init dirty_worker_exit
`
  .trim()
  .split(/\s+/)

test('the rows are sorted by section', (t) => {
  // A name in two sections would overwrite the earlier row and keep its position.
  const order = ROWS.map(([, row]) => SECTIONS.indexOf(row.section))
  t.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  )
})

test('every setting of Gunicorn (120) has a row', (t) => {
  t.is(GUNICORN.length, 120)
  t.deepEqual(
    GUNICORN.filter((name) => findSettingName(name) === undefined),
    [],
  )
})

test('the rows are in the order of the documentation of Gunicorn', (t) => {
  const names = ROWS.flatMap(([name, row]) => [name, ...(row.aliases ?? [])])
  t.deepEqual(
    names.filter((name) => GUNICORN.includes(name)),
    GUNICORN,
  )
})

test('the supported settings are those that have a test', (t) => {
  const supported = ROWS.filter(([, row]) => row.status === 'supported').map(([name]) => name)
  t.deepEqual(
    supported.toSorted(),
    (Object.keys({ ...SETTING_PROOFS, ...HOOK_PROOFS }) as RowName[]).toSorted(),
  )
})

test('chosen settings have the defaults that users rely on', (t) => {
  t.like(DEFAULTS, {
    bind: ['127.0.0.1:8000'],
    workers: 1,
    worker_connections: 1000,
    timeout: 30,
    graceful_timeout: 30,
    keepalive: 75,
    engine: 'auto',
    limit_request_line: 16_384,
    limit_request_fields: 100,
    limit_request_field_size: 16_384,
    limit_request_body: 0,
    header_timeout: 30,
    request_timeout: 0,
    forwarded_allow_ips: '127.0.0.1,::1',
    forwarded_headers: 'off',
    proxy_protocol: 'off',
    tls_min_version: '1.2',
    errorlog: '-',
    accesslog: null,
  })
})

test('each section is contiguous, and the sections are in their order', (t) => {
  const seen = ROWS.map(([, row]) => row.section).filter(
    (section, index, all) => section !== all[index - 1],
  )
  t.deepEqual(seen, [...SECTIONS])
})

test('flags are unique and differ from those of --help and --version', (t) => {
  const flags = ROWS.flatMap(([, row]) => row.flags ?? [])
  const all = [...flags, '-h', '--help', '-v', '--version']
  t.deepEqual(
    all.filter((flag, index) => all.indexOf(flag) !== index),
    [],
  )
})

test('every flag is short or long, and the short one comes first', (t) => {
  for (const [name, row] of ROWS) {
    const [first, ...others] = row.flags ?? []
    if (first === undefined) continue
    t.regex(first, /^(-[a-zA-Z]|--[a-z0-9-]+)$/, name)
    for (const flag of others) t.regex(flag, /^--[a-z0-9_-]+$/, name)
  }
})

test('names and environment variables are unique and resolve to their row', (t) => {
  const names = ROWS.flatMap(([name, row]) => [name as string, ...(row.aliases ?? [])])
  t.is(new Set(names).size, names.length)
  for (const [name] of ROWS) {
    t.regex(variableOf(name), new RegExp(`^${ENVIRONMENT_PREFIX}[A-Z0-9_]+$`))
    t.is(settingNameOfVariable(variableOf(name)), name)
  }
})

test('every description consists of sentences, and the first has at most 140 characters', (t) => {
  for (const [name, row] of ROWS) {
    t.regex(row.doc, /^[A-Z"].*\.$/, name)
    t.true(firstSentence(row.doc).length <= 140, name)
    if (row.status === 'inapplicable') t.notRegex(row.reason, /\.$/, name)
  }
})

test('every default is accepted by its own kind', (t) => {
  for (const [name, row] of ROWS) {
    // An empty default means "not set", also for a kind that rejects an empty text.
    if (row.default === '') continue
    const parsed = row.kind.schema.safeParse(row.default)
    t.true(parsed.success, name)
    t.deepEqual(parsed.data, row.default, name)
  }
})

test('no count exceeds the u32 fields of the native engine', (t) => {
  const counts = ROWS.filter(
    ([, row]) => row.status === 'supported' && row.engine?.type === 'count',
  )
  t.true(counts.length >= 8)
  for (const [name, row] of counts) {
    const parsed = row.kind.schema.safeParse(2 ** 32)
    t.true(!parsed.success || Number(parsed.data) < 2 ** 32, name)
  }
})

test('the default that --help shows is converted back to the default', (t) => {
  for (const [name, row] of ROWS) {
    const shown = defaultText(row)
    if (shown === undefined || row.kind.list !== undefined || row.default instanceof Object)
      continue
    if (row.section === 'Control' || row.kind.unit === 'seconds' || row.kind.unit === 'bytes')
      continue
    const parsed = row.kind.schema.safeParse(row.kind.fromText(shown))
    t.deepEqual(parsed.data, row.default, name)
  }
})

test('every kind describes its allowed values, and all but switches have a placeholder', (t) => {
  for (const [name, row] of ROWS) {
    t.regex(row.kind.allowed, /\w/, name)
    const isSwitch = row.kind.fromText('true') === true
    t.is(row.kind.placeholder === '', isSwitch, name)
  }
})
