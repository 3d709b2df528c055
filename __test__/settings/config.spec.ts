// How the sources of settings become one complete config.
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { HOOK_NAMES } from '../../ts/hooks/table.ts'
import { defineConfig } from '../../ts/index.ts'
import { type ConfigSource, requireApplication, resolveConfig } from '../../ts/settings/config.ts'
import { directoryWith } from './directory.ts'

const FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

function resolve(t: ExecutionContext, source: Partial<ConfigSource>) {
  const cwd = source.cwd ?? directoryWith(t)
  return resolveConfig({ argv: [], env: {}, ...source, cwd })
}

test('without any source every setting has its default', async (t) => {
  const cwd = directoryWith(t)
  const { values, origins, warnings } = await resolveConfig({ argv: [], env: {}, cwd })
  t.deepEqual(values, {
    config: null,
    app: null,
    bind: ['127.0.0.1:8000'],
    backlog: 2048,
    listen_port: 0,
    workers: 1,
    worker_class: 'auto',
    worker_connections: 1000,
    max_requests: 0,
    max_requests_jitter: 0,
    timeout: 30,
    boot_timeout: 60,
    graceful_timeout: 30,
    max_surge: 1,
    keepalive: 75,
    engine: 'auto',
    worker_nice: 0,
    worker_cpu_affinity: 'off',
    on_uncaught: 'recycle',
    max_worker_lifetime: 0,
    max_worker_lifetime_jitter: 0,
    max_worker_memory: 0,
    asgi_lifespan: 'auto',
    ...Object.fromEntries(HOOK_NAMES.map((name) => [name, null])),
    limit_request_line: 4094,
    limit_request_fields: 100,
    limit_request_field_size: 8190,
    limit_request_body: 0,
    request_buffer_size: 65_536,
    request_buffer_time: 0.1,
    buffer_memory: 268_435_456,
    response_buffer_size: 131_072,
    limit_requests_per_connection: 0,
    limit_connections_per_address: 0,
    header_timeout: 30,
    body_timeout: 30,
    body_min_rate: 500,
    request_timeout: 0,
    write_timeout: 60,
    write_min_rate: 500,
    linger_timeout: 2,
    keyfile: null,
    certfile: null,
    suppress_ragged_eofs: true,
    ...{ keyfile_password: null, certificates: [], ocsp_file: null, dev_tls: false },
    ...{ tls_min_version: '1.2', tls_max_version: '1.3', ssl_context: null, cert_reqs: 0 },
    ...{ ca_certs: null, crl_file: null, ciphers: null },
    handshake_timeout: 10,
    http_protocols: null,
    http2_cleartext: null,
    http2_max_concurrent_streams: 100,
    http2_initial_window_size: 262_144,
    http2_max_frame_size: 16_384,
    http2_max_header_list_size: 65_536,
    http2_max_resets: 1000,
    http2_max_idle_frames: 10_000,
    limit_handshakes: 1000,
    check_config: false,
    print_config: false,
    preload_app: false,
    reuse_port: false,
    chdir: cwd,
    daemon: false,
    raw_env: [],
    pidfile: null,
    secure_scheme_headers: {
      'X-FORWARDED-PROTOCOL': 'ssl',
      'X-FORWARDED-PROTO': 'https',
      'X-FORWARDED-SSL': 'on',
    },
    forwarded_allow_ips: '127.0.0.1,::1',
    forwarded_headers: 'off',
    proxy_protocol: 'off',
    proxy_allow_ips: '127.0.0.1,::1',
    permit_unconventional_http_method: false,
    casefold_http_method: false,
    forwarder_headers: 'SCRIPT_NAME,PATH_INFO',
    header_map: 'drop',
    root_path: '',
    user: null,
    group: null,
    umask: 0,
    initgroups: false,
    accesslog: null,
    access_log_format: FORMAT,
    errorlog: '-',
    loglevel: 'info',
    error_log_format: 'text',
    capture_output: false,
    logger_class: null,
    logconfig: null,
    logconfig_dict: {},
    logconfig_json: null,
    syslog: false,
    syslog_addr: 'udp://localhost:514',
    syslog_prefix: null,
    syslog_facility: 'user',
    disable_redirect_access_to_syslog: false,
    statsd_host: null,
    statsd_prefix: '',
    dogstatsd_tags: '',
    enable_backlog_metric: false,
    enable_stdio_inheritance: false,
    proc_name: null,
  })
  t.deepEqual(new Set(Object.values(origins)), new Set(['default']))
  t.deepEqual(warnings, [])
})

test('a later source wins: default, file, environment, MONOCEROS_CMD_ARGS, command line', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.json': JSON.stringify({
      timeout: 1,
      keepalive: 1,
      backlog: 1,
      loglevel: 'debug',
    }),
  })
  const { values, origins } = await resolveConfig({
    cwd,
    env: {
      MONOCEROS_KEEPALIVE: '2',
      MONOCEROS_BACKLOG: '2',
      MONOCEROS_LOGLEVEL: 'warning',
      MONOCEROS_CMD_ARGS: '--backlog 3 --log-level=error',
    },
    argv: ['--log-level', 'critical', './app.js'],
  })
  t.is(values.boot_timeout, 60)
  t.is(values.timeout, 1)
  t.is(values.keepalive, 2)
  t.is(values.backlog, 3)
  t.is(values.loglevel, 'critical')
  t.is(values.app, './app.js')
  t.is(origins.boot_timeout, 'default')
  t.is(origins.timeout, 'monoceros.config.json')
  t.is(origins.keepalive, 'MONOCEROS_KEEPALIVE')
  t.is(origins.backlog, 'MONOCEROS_CMD_ARGS')
  t.is(origins.loglevel, 'command line')
  t.is(origins.app, 'command line')
})

test('a list given later replaces the earlier one', async (t) => {
  const env = { MONOCEROS_BIND: ':1, :2', MONOCEROS_RAW_ENV: 'A=1,2\nB=x=y' }
  const fromEnvironment = await resolve(t, { env })
  t.deepEqual(fromEnvironment.values.bind, [':1', ':2'])
  t.deepEqual(fromEnvironment.values.raw_env, ['A=1,2', 'B=x=y'])
  const fromFlags = await resolve(t, { env, argv: ['-b', ':3', '--bind=:4', '-e', 'C=1'] })
  t.deepEqual(fromFlags.values.bind, [':3', ':4'])
  t.deepEqual(fromFlags.values.raw_env, ['C=1'])
})

test('the config is frozen and survives JSON', async (t) => {
  const { values } = await resolve(t, { argv: ['-b', ':1', '-e', 'A=1', 'app.js'] })
  t.true(Object.isFrozen(values))
  t.true(Object.isFrozen(values.bind))
  t.true(Object.isFrozen(values.raw_env))
  t.deepEqual(JSON.parse(JSON.stringify(values)), values)
})

test('PORT moves the default of bind and gives way to any bind', async (t) => {
  const env = { PORT: '9000' }
  const moved = await resolve(t, { env })
  t.deepEqual(moved.values.bind, ['0.0.0.0:9000'])
  t.is(moved.origins.bind, 'PORT')
  const given = await resolve(t, { env: { ...env, MONOCEROS_BIND: ':1' } })
  t.deepEqual(given.values.bind, [':1'])
  const unread = await resolve(t, { env: { PORT: 'tcp://10.0.0.1:1' }, argv: ['-b', ':1'] })
  t.deepEqual(unread.values.bind, [':1'])
})

test('WEB_CONCURRENCY moves the default of workers and gives way to any number', async (t) => {
  const env = { WEB_CONCURRENCY: '7' }
  const moved = await resolve(t, { env })
  t.is(moved.values.workers, 7)
  t.is(moved.origins.workers, 'WEB_CONCURRENCY')
  const given = await resolve(t, { env, argv: ['-w', '2'] })
  t.is(given.values.workers, 2)
})

test('workers auto is a number of processors', async (t) => {
  const { values } = await resolve(t, { argv: ['-w', 'auto'] })
  t.true(Number.isInteger(values.workers) && values.workers >= 1)
})

const bind = test.macro({
  async exec(t, address: string) {
    t.deepEqual((await resolve(t, { argv: ['--bind', address] })).values.bind, [address])
    t.deepEqual((await resolve(t, { env: { MONOCEROS_BIND: address || ':8000' } })).values.bind, [
      address || ':8000',
    ])
  },
  title: (_, address) => `bind takes ${JSON.stringify(address)}`,
})

for (const address of [
  '',
  'localhost',
  '127.0.0.1',
  '127.0.0.1:8001',
  ':8001',
  '[::1]',
  '[::1]:8001',
  'tcp://127.0.0.1:8001',
  'tcp://[::]:8001',
  'unix:/run/app.sock',
  'unix:///run/app.sock',
  'unix:@abstract',
  'fd://3',
]) {
  test(bind, address)
}

test('sizes take units, switches take words, numbers may be fractions', async (t) => {
  const { values } = await resolve(t, {
    env: {
      MONOCEROS_LIMIT_REQUEST_BODY: '10m',
      MONOCEROS_REUSE_PORT: 'yes',
      MONOCEROS_KEEPALIVE: '0.5',
    },
  })
  t.is(values.limit_request_body, 10 * 1024 * 1024)
  t.is(values.reuse_port, true)
  t.is(values.keepalive, 0.5)
  const off = await resolve(t, { env: { MONOCEROS_REUSE_PORT: '0' } })
  t.is(off.values.reuse_port, false)
  const large = await resolve(t, { argv: ['--limit-request-body', '2GiB'] })
  t.is(large.values.limit_request_body, 2 * 1024 ** 3)
})

test('limits of a head cannot be turned off: 0 and too much mean the most', async (t) => {
  for (const text of ['0', '99999999']) {
    const argv = ['--limit-request-line', text, '--limit-request-fields', text]
    const { values } = await resolve(t, { argv: [...argv, '--limit-request-field-size', text] })
    t.is(values.limit_request_line, 65_535)
    t.is(values.limit_request_fields, 24_576)
    t.is(values.limit_request_field_size, 65_535)
  }
})

test('both spellings of flags are taken', async (t) => {
  const { values } = await resolve(t, {
    argv: [
      '--limit-request-field_size',
      '1',
      '--keepalive=2',
      '--log-file',
      'x',
      '-pp.pid',
      '-nname',
    ],
  })
  t.is(values.limit_request_field_size, 1)
  t.is(values.keepalive, 2)
  t.is(values.errorlog, 'x')
  t.is(values.pidfile, 'p.pid')
  t.is(values.proc_name, 'name')
})

test('wsgi_app is another name of app', async (t) => {
  const cwd = directoryWith(t, { 'monoceros.config.json': '{"wsgi_app": "./a.js"}' })
  t.is((await resolve(t, { cwd })).values.app, './a.js')
  t.is((await resolve(t, { env: { MONOCEROS_WSGI_APP: './b.js' } })).values.app, './b.js')
})

test('an empty variable counts as not set', async (t) => {
  const { values, origins } = await resolve(t, { env: { MONOCEROS_WORKERS: '', PORT: '' } })
  t.is(values.workers, 1)
  t.is(origins.bind, 'default')
})

test('variables of Kubernetes services and of our own are passed over', async (t) => {
  const env = {
    MONOCEROS_PORT: 'tcp://10.0.0.1:80',
    MONOCEROS_PORT_80_TCP_ADDR: '10.0.0.1',
    MONOCEROS_SERVICE_HOST: '10.0.0.1',
    MONOCEROS_SERVICE_PORT: '80',
    MONOCEROS_SERVICE_PORT_HTTP: '80',
    MONOCEROS_WORKER: '1',
  }
  const { origins } = await resolve(t, { env })
  t.deepEqual(new Set(Object.values(origins)), new Set(['default']))
})

test('chdir is made absolute, and does not move the search for the config file', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.json': '{"chdir": "site"}',
    'site/monoceros.config.json': '{"workers": 9}',
  })
  const { values } = await resolve(t, { cwd })
  t.is(values.chdir, join(cwd, 'site'))
  t.is(values.workers, 1)
})

const GUNICORN_CLASSES = [
  'sync',
  'gthread',
  'gevent',
  'gevent_wsgi',
  'gevent_pywsgi',
  'eventlet',
  'tornado',
  'asgi',
  'uvicorn.workers.UvicornWorker',
  'egg:gunicorn#sync',
]

for (const name of GUNICORN_CLASSES) {
  test(`worker class ${name} means auto, with one warning`, async (t) => {
    const { values, warnings } = await resolve(t, { argv: ['-k', name] })
    t.is(values.worker_class, 'auto')
    t.deepEqual(warnings, [
      `--worker-class: "${name}" is a word of Gunicorn; here it means "auto".`,
    ])
  })
}

for (const name of ['node', 'fetch', './adapter.js', '/srv/adapter.mjs', '../a/b.ts']) {
  test(`worker class ${name} is taken as it is`, async (t) => {
    const { values, warnings } = await resolve(t, { argv: ['-k', name] })
    t.is(values.worker_class, name)
    t.deepEqual(warnings, [])
  })
}

test('threads above 1 are taken with a warning, 1 without', async (t) => {
  t.deepEqual((await resolve(t, { argv: ['--threads', '1'] })).warnings, [])
  const { warnings } = await resolve(t, { argv: ['--threads', '4'] })
  t.is(warnings.length, 1)
  t.regex(warnings[0] ?? '', /^--threads has no effect: JavaScript is one thread/)
})

test('settings without meaning warn or are passed over, as their rows say', async (t) => {
  const { warnings } = await resolve(t, {
    argv: ['--spew', '--no-sendfile', '--no-control-socket', '--worker-tmp-dir', '/dev/shm'],
  })
  t.deepEqual(
    warnings.map((warning) => warning.split(' ')[0]),
    ['--spew', '--worker-tmp-dir'],
  )
})

test('a setting that is not built yet is taken at its default', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.json': JSON.stringify({ dirty_apps: [], protocol: 'http', dirty_workers: 0 }),
  })
  const { values, warnings } = await resolve(t, { cwd, env: { MONOCEROS_DIRTY_WORKERS: '0' } })
  t.false('dirty_apps' in values)
  t.deepEqual(warnings, [])
})

test('the settings of the logs together win over those given one by one', async (t) => {
  const cwd = directoryWith(t, {
    'logs.json': '{ "loglevel": "error", "errorlog": "a.log", "syslog": true }',
    'monoceros.config.json': '{ "loglevel": "debug", "logconfig_dict": { "errorlog": "b.log" } }',
  })
  const argv = ['--log-level', 'critical', '--log-config', 'logs.json']
  const { values, origins } = await resolve(t, { argv, cwd })
  t.like(values, { loglevel: 'error', errorlog: 'b.log', syslog: true })
  t.like(origins, { loglevel: 'logs.json', errorlog: 'logconfig_dict' })
})

test('the application may be missing until one is required', async (t) => {
  const without = await resolve(t, {})
  t.throws(() => requireApplication(without), { code: 'ERR_APP_NONE' })
  const resolved = await resolve(t, { argv: ['app.js'] })
  t.is(requireApplication(resolved), resolved)
})

test('defineConfig knows names and types, and returns what it is given', (t) => {
  const config = { workers: 'auto', bind: ':1', keepalive: 5, accesslog: null } as const
  t.is(defineConfig(config), config)
  // @ts-expect-error: the setting is called workers.
  t.deepEqual(defineConfig({ worker: 1 }), { worker: 1 })
  // @ts-expect-error: a number is needed.
  t.deepEqual(defineConfig({ keepalive: true }), { keepalive: true })
  // @ts-expect-error: not built yet.
  t.deepEqual(defineConfig({ dirty_threads: 2 }), { dirty_threads: 2 })
})
