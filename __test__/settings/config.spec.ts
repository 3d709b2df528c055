// Resolves settings from all sources to one complete config.
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { defineConfig } from '../../ts/index.ts'
import { type ConfigSource, requireApplication, resolveConfig } from '../../ts/settings/config.ts'
import { uses } from '../uses.ts'
import { DEFAULTS } from './defaults.ts'
import { directoryWith } from './directory.ts'

async function resolve(t: ExecutionContext, source: Partial<ConfigSource>) {
  const cwd = source.cwd ?? directoryWith(t)
  const resolved = await resolveConfig({ argv: [], env: {}, ...source, cwd })
  uses(t, resolved.values)
  return resolved
}

test('without any source, every setting has its default', async (t) => {
  const cwd = directoryWith(t)
  const { values, origins, warnings } = await resolveConfig({ argv: [], env: {}, cwd })
  t.deepEqual(values, { ...DEFAULTS, chdir: cwd })
  t.deepEqual(new Set(Object.values(origins)), new Set(['default']))
  t.deepEqual(warnings, [])
})

test('sources win in the order default, file, environment, CMD_ARGS, command line', async (t) => {
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

test('a list from a later source replaces the earlier list', async (t) => {
  const env = { MONOCEROS_BIND: ':1, :2', MONOCEROS_RAW_ENV: 'A=1,2\nB=x=y' }
  const fromEnvironment = await resolve(t, { env })
  t.deepEqual(fromEnvironment.values.bind, [':1', ':2'])
  t.deepEqual(fromEnvironment.values.raw_env, ['A=1,2', 'B=x=y'])
  const fromFlags = await resolve(t, { env, argv: ['-b', ':3', '--bind=:4', '-e', 'C=1'] })
  t.deepEqual(fromFlags.values.bind, [':3', ':4'])
  t.deepEqual(fromFlags.values.raw_env, ['C=1'])
})

test('a resolved config is frozen and is equal after a round trip through JSON', async (t) => {
  const { values } = await resolve(t, { argv: ['-b', ':1', '-e', 'A=1', 'app.js'] })
  t.true(Object.isFrozen(values))
  t.true(Object.isFrozen(values.bind))
  t.true(Object.isFrozen(values.raw_env))
  t.deepEqual(JSON.parse(JSON.stringify(values)), values)
})

test('PORT changes the default of bind, not a given address', async (t) => {
  const env = { PORT: '9000' }
  const fromPlatform = await resolve(t, { env })
  t.deepEqual(fromPlatform.values.bind, ['0.0.0.0:9000'])
  t.is(fromPlatform.origins.bind, 'PORT')
  const given = await resolve(t, { env: { ...env, MONOCEROS_BIND: ':1' } })
  t.deepEqual(given.values.bind, [':1'])
  const unread = await resolve(t, { env: { PORT: 'tcp://10.0.0.1:1' }, argv: ['-b', ':1'] })
  t.deepEqual(unread.values.bind, [':1'])
})

test('WEB_CONCURRENCY changes the default of workers, not a given number', async (t) => {
  const env = { WEB_CONCURRENCY: '7' }
  const fromPlatform = await resolve(t, { env })
  t.is(fromPlatform.values.workers, 7)
  t.is(fromPlatform.origins.workers, 'WEB_CONCURRENCY')
  const given = await resolve(t, { env, argv: ['-w', '2'] })
  t.is(given.values.workers, 2)
})

test('workers=auto becomes a positive integer', async (t) => {
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
  title: (_, address) => `bind accepts ${JSON.stringify(address)}`,
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

test('sizes accept units, switches accept words, times accept fractions', async (t) => {
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

test('head limits cannot be turned off: 0 and large values mean the maximum', async (t) => {
  for (const text of ['0', '99999999']) {
    const argv = ['--limit-request-line', text, '--limit-request-fields', text]
    const { values } = await resolve(t, { argv: [...argv, '--limit-request-field-size', text] })
    t.is(values.limit_request_line, 65_535)
    t.is(values.limit_request_fields, 24_576)
    t.is(values.limit_request_field_size, 65_535)
  }
})

test('every spelling of a flag is accepted', async (t) => {
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

test('wsgi_app is an alias of app', async (t) => {
  const cwd = directoryWith(t, { 'monoceros.config.json': '{"wsgi_app": "./a.js"}' })
  t.is((await resolve(t, { cwd })).values.app, './a.js')
  t.is((await resolve(t, { env: { MONOCEROS_WSGI_APP: './b.js' } })).values.app, './b.js')
})

test('an empty variable counts as not set', async (t) => {
  const { values, origins } = await resolve(t, { env: { MONOCEROS_WORKERS: '', PORT: '' } })
  t.is(values.workers, 1)
  t.is(origins.bind, 'default')
})

test('variables of Kubernetes services and internal variables are ignored', async (t) => {
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

test('chdir becomes absolute and does not affect the search for the config file', async (t) => {
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
      `--worker-class: "${name}" is a value of Gunicorn; here it means "auto".`,
    ])
  })
}

for (const name of ['node', 'fetch', './adapter.js', '/srv/adapter.mjs', '../a/b.ts']) {
  test(`worker class ${name} is accepted unchanged`, async (t) => {
    const { values, warnings } = await resolve(t, { argv: ['-k', name] })
    t.is(values.worker_class, name)
    t.deepEqual(warnings, [])
  })
}

test('threads above 1 are accepted with a warning, 1 without', async (t) => {
  t.deepEqual((await resolve(t, { argv: ['--threads', '1'] })).warnings, [])
  const { warnings } = await resolve(t, { argv: ['--threads', '4'] })
  t.is(warnings.length, 1)
  t.regex(warnings[0] ?? '', /^--threads has no effect: JavaScript runs in one thread/)
})

test('settings without meaning cause a warning or are ignored', async (t) => {
  const { warnings } = await resolve(t, {
    argv: ['--spew', '--no-sendfile', '--no-control-socket', '--worker-tmp-dir', '/dev/shm'],
  })
  t.deepEqual(
    warnings.map((warning) => warning.split(' ')[0]),
    ['--spew', '--worker-tmp-dir'],
  )
})

test('a setting that is not supported yet is accepted at its default', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.json': JSON.stringify({ dirty_apps: [], protocol: 'http', dirty_workers: 0 }),
  })
  const { values, warnings } = await resolve(t, { cwd, env: { MONOCEROS_DIRTY_WORKERS: '0' } })
  t.false('dirty_apps' in values)
  t.deepEqual(warnings, [])
})

test('logconfig overrides the same settings given one by one', async (t) => {
  const cwd = directoryWith(t, {
    'logs.json': '{ "loglevel": "error", "errorlog": "a.log", "syslog": true }',
    'monoceros.config.json': '{ "loglevel": "debug", "logconfig_dict": { "errorlog": "b.log" } }',
  })
  const argv = ['--log-level', 'critical', '--log-config', 'logs.json']
  const { values, origins } = await resolve(t, { argv, cwd })
  t.like(values, { loglevel: 'error', errorlog: 'b.log', syslog: true })
  t.like(origins, { loglevel: 'logs.json', errorlog: 'logconfig_dict' })
})

test('logconfig_dict overrides logconfig_json, which overrides logconfig', async (t) => {
  const cwd = directoryWith(t, {
    'a.json': '{ "loglevel": "error", "errorlog": "a.log", "accesslog": "a.log" }',
    'b.json': '{ "loglevel": "info", "errorlog": "b.log" }',
    'monoceros.config.json': JSON.stringify({
      logconfig_dict: { loglevel: 'warning' },
      logconfig_json: 'b.json',
    }),
  })
  const { values } = await resolve(t, { argv: ['--log-config', 'a.json'], cwd })
  t.like(values, { loglevel: 'warning', errorlog: 'b.log', accesslog: 'a.log' })
})

test('a config without an application is an error only when one is required', async (t) => {
  const without = await resolve(t, {})
  t.throws(() => requireApplication(without), { code: 'ERR_APP_NONE' })
  const resolved = await resolve(t, { argv: ['app.js'] })
  t.is(requireApplication(resolved), resolved)
})

test('defineConfig checks names and types and returns its argument', (t) => {
  const config = { workers: 'auto', bind: ':1', keepalive: 5, accesslog: null } as const
  t.is(defineConfig(config), config)
  // @ts-expect-error: the setting is called workers.
  t.deepEqual(defineConfig({ worker: 1 }), { worker: 1 })
  // @ts-expect-error: a number is needed.
  t.deepEqual(defineConfig({ keepalive: true }), { keepalive: true })
  // @ts-expect-error: not supported yet.
  t.deepEqual(defineConfig({ dirty_threads: 2 }), { dirty_threads: 2 })
})

test('inspect turns off the timeouts that no source sets', async (t) => {
  for (const inspect of ['--inspect', '--inspect-brk']) {
    const { values, origins } = await resolve(t, { argv: [inspect, '--request-timeout', '7'] })
    t.like(values, { timeout: 0, boot_timeout: 86_400, request_timeout: 7 })
    const origin = inspect === '--inspect' ? 'inspect' : 'inspect_brk'
    t.like(origins, { timeout: origin, boot_timeout: origin, request_timeout: 'command line' })
  }
})

test('--inspect takes a value only after =, so the next argument is the application', async (t) => {
  const { values } = await resolveConfig({ argv: ['--inspect', './app.js'], env: {}, cwd: '/' })
  t.is(values.inspect, '127.0.0.1:9229')
  t.is(values.app, './app.js')
})
