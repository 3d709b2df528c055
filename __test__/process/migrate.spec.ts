// Servers that start from what `monoceros migrate` has written, with an Express application.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { MAIN } from '../control/ctl.ts'
import { get, type Program, startProgram, until } from './program.ts'

const EXPRESS = JSON.stringify(createRequire(import.meta.url).resolve('express'))

/** A program as it runs under pm2. */
const SERVER = `const app = require(${EXPRESS})()
app.get('/', (req, res) => {
  const { NODE_ENV, MODE, NODE_OPTIONS } = process.env
  res.json({ pid: process.pid, args: process.argv.slice(2), NODE_ENV, MODE, NODE_OPTIONS })
})
app.get('/log', (req, res) => {
  console.log('logged by the application')
  res.end()
})
app.listen(process.env.PORT ?? 3000, () => process.send?.('ready'))
`

/** Migrates a file beside the application, and starts the server from the result. */
function startMigrated(
  t: ExecutionContext,
  [name, text]: readonly [name: string, text: string],
  { migrate = [], args = [] }: { migrate?: readonly string[]; args?: readonly string[] } = {},
): Program {
  return startProgram(t, {
    files: { 'server.cjs': SERVER, [name]: text },
    prepare: (cwd) => {
      execFileSync(
        process.execPath,
        [MAIN, 'migrate', name, '-o', 'monoceros.config.ts', ...migrate],
        {
          cwd,
        },
      )
    },
    args,
  })
}

async function portOf(program: Program): Promise<number> {
  const [, port] = await program.line(/Listening at: http:\/\/[\d.]+:(\d+)/)
  return Number(port)
}

async function ask(port: number) {
  return JSON.parse((await get({ port })).body)
}

test.serial('an application in fork mode is served', async (t) => {
  const program = startMigrated(t, [
    'ecosystem.config.json',
    `{ "apps": [{ "name": "web", "script": "./server.cjs", "exec_mode": "fork",
      "env": { "PORT": 0, "NODE_ENV": "production" } }] }`,
  ])
  const answer = await ask(await portOf(program))
  t.is(answer.NODE_ENV, 'production')
  t.deepEqual(answer.args, [])
  t.is(program.workers().length, 1)
})

test.serial(
  'an application in cluster mode has its workers, arguments and variables',
  async (t) => {
    const program = startMigrated(
      t,
      [
        'ecosystem.config.cjs',
        `module.exports = { apps: [{ script: './server.cjs', instances: 2, exec_mode: 'cluster',
        args: ['--mode', 'a b'], node_args: '--no-warnings', port: 0,
        env: { MODE: 'base' }, env_production: { MODE: 'live' } }] }`,
      ],
      { migrate: ['--env', 'production'] },
    )
    const port = await portOf(program)
    t.like(await ask(port), {
      args: ['--mode', 'a b'],
      MODE: 'live',
      NODE_OPTIONS: '--no-warnings',
    })
    await until(() => program.workers().length === 2, 'two workers')
  },
)

test.serial('an application with many options of pm2 is served and logs to its file', async (t) => {
  const program = startMigrated(t, [
    'ecosystem.config.cjs',
    `module.exports = { apps: [{ name: 'all', script: './server.cjs', instances: 'max',
      exec_mode: 'cluster', wait_ready: true, listen_timeout: 20000, kill_timeout: 3000,
      max_memory_restart: '700M', interpreter: 'node', cron_restart: '0 3 * * *', watch: true,
      ignore_watch: ['logs'], error_file: './all.log', out_file: './out.log', merge_logs: true,
      log_date_format: 'HH:mm', max_restarts: 5, min_uptime: '5s', autorestart: true,
      env: { PORT: 0 } }], deploy: { production: { user: 'x' } } }`,
  ])
  const file = join(program.directory, 'all.log')
  const readLog = () => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  const found = await until(() => /Listening at: http:\/\/[\d.]+:(\d+)/.exec(readLog()), 'a port')
  t.is((await get({ port: Number(found[1]), path: '/log' })).status, 200)
  await until(() => readLog().includes('logged by the application'), 'output in the log')
  t.false(existsSync(join(program.directory, 'out.log')))
})

test.serial('a small config file of Gunicorn starts the server', async (t) => {
  const program = startMigrated(
    t,
    [
      'gunicorn.conf.py',
      `bind = "127.0.0.1:0"\nworkers = 2\nworker_class = "gthread"\nthreads = 4\n`,
    ],
    { args: ['server.cjs'] },
  )
  t.deepEqual((await ask(await portOf(program))).args, [])
  await until(() => program.workers().length === 2, 'two workers')
})

test.serial('a config file of Gunicorn with expressions and hooks starts the server', async (t) => {
  const program = startMigrated(
    t,
    [
      'gunicorn.conf.py',
      `"""Production."""
import multiprocessing
import os

bind = ["127.0.0.1:0"]
workers = multiprocessing.cpu_count() * 2 + 1
timeout = 60; graceful_timeout = 20
max_requests, max_requests_jitter = 1000, 50
errorlog = os.environ.get("LOG", "-")
raw_env = [
    "MODE=python",  # read by the application
]
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
logconfig_dict = {"version": 1}
umask = 0o027

def when_ready(server):
    server.log.info("ready")

wsgi_app = "project.wsgi:application"
`,
    ],
    { args: ['server.cjs'] },
  )
  t.is((await ask(await portOf(program))).MODE, 'python')
})
