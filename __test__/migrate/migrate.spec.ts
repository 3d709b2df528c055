// The config files that `monoceros migrate` writes, as text, and its errors.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { renderConfigFile } from '../../ts/migrate/draft.ts'
import { translateGunicorn } from '../../ts/migrate/gunicorn.ts'
import { translateApp } from '../../ts/migrate/pm2.ts'
import { PM2_ROWS } from '../../ts/migrate/pm2-table.ts'
import { findSettingName } from '../../ts/settings/names.ts'
import { type CtlOutcome, runMonoceros } from '../control/ctl.ts'
import { temporaryDirectory } from '../temporary.ts'

function fromPm2(app: Record<string, unknown>): string {
  const path = 'ecosystem.config.js'
  return renderConfigFile(translateApp(app, { path, environment: undefined, hasDeploy: false }))
}

const fromGunicorn = (source: string) =>
  renderConfigFile(translateGunicorn(source, 'gunicorn.conf.py'))

/** Writes files into a directory and runs `monoceros migrate` on the first. */
async function migrate(
  files: Record<string, string>,
  args: readonly string[] = [],
): Promise<CtlOutcome & { directory: string }> {
  const directory = temporaryDirectory('migrate')
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  const first = join(directory, Object.keys(files)[0] ?? '')
  const words = args.map((word) => word.replace(/^\.\//, `${directory}/`))
  const outcome = await runMonoceros(['migrate', first, ...words], { runtime: directory })
  return { ...outcome, directory }
}

const OPTIONS: readonly (readonly [option: string, value: unknown, line: RegExp])[] = [
  ['instances', 'max', /^ {2}workers: 'auto',$/m],
  ['instances', 0, /^ {2}workers: 'auto',$/m],
  ['instances', '3', /^ {2}workers: 3,$/m],
  ['instances', -1, /^ {2}workers: Math\.max\(1, availableParallelism\(\) - 1\),$/m],
  ['args', '-a "b c"', /^ {2}app_args: \['-a', 'b c'\],$/m],
  ['args', '"open', /^ {2}\/\/ args: '"open'\. /m],
  ['max_memory_restart', '1G', /^ {2}max_worker_memory: '1g',$/m],
  ['max_memory_restart', '1 GB', /^ {2}\/\/ max_memory_restart: '1 GB'\. /m],
  ['kill_timeout', 1600, /^ {2}graceful_timeout: 1\.6,$/m],
  // The server refuses less than 0.1 seconds.
  ['listen_timeout', 50, /^ {2}\/\/ listen_timeout: 0\.05\. listen_timeout must be a number of/m],
  ['env', { PORT: 3000, A: { b: 1 } }, /^ {2}raw_env: \['PORT=3000', 'A=\{"b":1\}'\],$/m],
  ['port', '80', /^ {2}bind: '0\.0\.0\.0:80',$/m],
  ['env_test', { A: '1' }, /^ {2}\/\/ env_test: \{ A: '1' \}\. Add --env test /m],
  ['uid', 1000, /^ {2}user: '1000',$/m],
  ['disable_logs', true, /^ {2}errorlog: '\/dev\/null',$/m],
  ['autorestart', false, /^ {2}\/\/ autorestart: false\. /m],
  ['tpyo', 1, /^ {2}\/\/ tpyo: 1\. It is no option of pm2\.$/m],
  ['name', "a\u2028b'\n", /^ {2}proc_name: 'a\\u2028b\\'\\n',$/m],
  ['cron_restart', '1\u20282\n3', /^ {2}\/\/ cron_restart: '1\\u20282\\n3'\. /m],
]

for (const [option, value, line] of OPTIONS) {
  test(`${option}: ${JSON.stringify(value)} is translated`, (t) => {
    t.regex(fromPm2({ script: './a.js', [option]: value }), line)
  })
}

test('what asks for nothing is no line of the new file', (t) => {
  const quiet = { watch: false, autorestart: true, vizion: true, env: {}, args: '' }
  const plain = fromPm2({ script: './a.js' })
  t.is(fromPm2({ script: './a.js', ...quiet, exec_mode: 'cluster', interpreter: 'node' }), plain)
})

test('each setting of the table exists', (t) => {
  for (const { to } of PM2_ROWS) {
    for (const name of to) t.is(findSettingName(name), name)
  }
})

test('settings of Gunicorn keep their names, and expressions are comments', (t) => {
  const text = fromGunicorn(`import os
bind = '0.0.0.0:1'
workers = os.cpu_count() * 2 + 1
timeout = int(os.environ.get("T", 3))
keepalive = 1
keepalive = 5
threads = 4
user = 33
uwsgi_allow_ips = '1.2.3.4'
limit_request_line = -1
pythonpath = 'x'
default_proc_name = None
mine = 1
def post_fork(server, worker):
    pass
`)
  for (const line of [
    "  bind: '0.0.0.0:1',",
    '  // workers = os.cpu_count() * 2 + 1',
    "  workers: 'auto',",
    '  // timeout = int(os.environ.get("T", 3))',
    '  keepalive: 5,',
    '  // threads = 4',
    "  user: '33',",
    '  // limit_request_line: -1. limit_request_line must be an integer of 0 or more, got -1.',
    "  // pythonpath = 'x'",
    '  // mine = 1',
    '  // def post_fork(server, worker):',
  ]) {
    t.true(text.split('\n').includes(line), `${line}\n${text}`)
  }
  t.regex(text, /^ {2}\/\/ uwsgi_allow_ips: '1\.2\.3\.4'\. .* is not supported yet/m)
  t.false(text.includes('keepalive: 1'))
})

test('a value from the environment becomes an expression, not a copy', async (t) => {
  const source = `const { SECRET } = process.env
process.env.OWN = 'own'
module.exports = { apps: [{ script: './a.js', env: {
  SECRET, URL: \`db://\${SECRET}@host\`, OWN: process.env.OWN, NONE: process.env.NONE_SUCH } }] }`
  process.env.SECRET = 'hush`${'
  const { out, err } = await migrate({ 'ecosystem.config.cjs': source })
  t.false(out.includes('hush'), err)
  const secret = '$' + "{process.env.SECRET ?? ''}"
  t.true(out.includes(`\`SECRET=${secret}\``))
  t.true(out.includes(`\`URL=db://${secret}@host\``))
  t.true(out.includes("'OWN=own'"))
  t.false(out.includes('NONE'))
})

const TWO = `module.exports = { apps: [{ name: 'api', script: './a.js' },
  { name: 'night jobs', script: './b.js', env_production: { A: 1 } }], deploy: {} }`

test('several applications become one file each', async (t) => {
  const files = { 'ecosystem.config.cjs': TWO }
  const { status, out, directory } = await migrate(files, ['-o', './m.config.ts'])
  t.is(status, 0)
  t.is(out.match(/^Wrote /gm)?.length, 2)
  t.regex(readFileSync(join(directory, 'm.config.api.ts'), 'utf8'), /app: '\.\/a\.js'/)
  t.regex(readFileSync(join(directory, 'm.config.night-jobs.ts'), 'utf8'), /app: '\.\/b\.js'/)
})

test('npm start is the file that package.json names', async (t) => {
  const { out } = await migrate({
    'ecosystem.config.json': '{ "apps": { "script": "npm", "args": "run start" } }',
    'package.json': '{ "scripts": { "start": "node src/main.js" } }',
  })
  t.regex(out, /^ {2}app: 'src\/main\.js',$/m)
})

test('an existing file is kept without --force', async (t) => {
  const files = { 'gunicorn.conf.py': 'workers = 2', 'm.ts': 'mine' }
  const refused = await migrate(files, ['-o', './m.ts'])
  t.is(refused.status, 1)
  t.regex(refused.err, /m\.ts exists already\. Use --force to overwrite it\./)
  t.is(readFileSync(join(refused.directory, 'm.ts'), 'utf8'), 'mine')
  const forced = await migrate(files, ['-f', '-o', './m.ts'])
  t.is(forced.status, 0)
  t.regex(readFileSync(join(forced.directory, 'm.ts'), 'utf8'), /workers: 2/)
})

const FAULTS: readonly (readonly [
  what: string,
  files: Record<string, string>,
  args: readonly string[],
  error: RegExp,
])[] = [
  ['several applications for one output', { 'e.cjs': TWO }, [], /"api" or "night jobs"\. Choose/],
  ['an unknown application', { 'e.cjs': TWO }, ['-a', 'x'], /has no application "x"; it has "api"/],
  ['an unknown environment', { 'e.cjs': TWO }, ['-e', 'x'], /"api" in .* has no env_x/],
  [
    'a file that throws',
    { 'e.cjs': 'throw new Error("no")' },
    [],
    /e\.cjs cannot be read: Error: no/,
  ],
  ['a file without applications', { 'e.json': '{}' }, [], /e\.json is no ecosystem file/],
  ['broken JSON', { 'e.json': '{' }, [], /e\.json cannot be read: SyntaxError/],
  ['YAML without a parser', { 'e.yml': 'apps:' }, [], /no parser for YAML is installed beside it/],
  ['another kind of file', { 'e.txt': '' }, [], /unknown kind; the name must end in "\.js"/],
  [
    'an unknown option',
    { 'e.json': '{}' },
    ['--x'],
    /Unknown option '--x'\. monoceros migrate --help/,
  ],
  ['two files', { 'e.json': '{}' }, ['b'], /migrate takes one file, got 2/],
]

for (const [what, files, args, error] of FAULTS) {
  test(`${what} is an error`, async (t) => {
    const { status, out, err } = await migrate(files, args)
    t.not(status, 0)
    t.is(out, '')
    t.regex(err, error)
  })
}

test('a missing file is an error', async (t) => {
  const { status, err } = await runMonoceros(['migrate', '/nonexistent/e.cjs'], { runtime: '/' })
  t.is(status, 1)
  t.regex(err, /\/nonexistent\/e\.cjs cannot be read: ENOENT/)
  t.false(existsSync('/nonexistent'))
})
