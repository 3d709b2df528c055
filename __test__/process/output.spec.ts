// What workers print, in the error log: whole lines, nothing lost, also from one that is killed.
// And the JSON forms.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import {
  appSource,
  ENGINES,
  type Program,
  serveArgs,
  someoneListens,
  startProgram,
  until,
} from './program.ts'

const PRINTS = `
const { writeSync } = require('node:fs')
module.exports = (req, res) => {
  const [, name, count] = req.url.split('/')
  if (name === 'print') {
    for (let n = 0; n < Number(count); n++) console.log('line', n, 'x'.repeat(90))
  }
  if (name === 'kill') {
    console.error('the last words')
    writeSync(1, 'half a line')
    process.kill(process.pid, 'SIGKILL')
  }
  if (name === 'exit') { for (let n = 0; n < 5000; n++) console.log('exit', n); process.exit(0) }
  if (name === 'long') console.log('y'.repeat(Number(count)))
  if (name === 'child') {
    require('node:child_process').spawnSync('echo', ['from a child'], { stdio: 'inherit' })
  }
  res.end('done')
}`

for (const engine of ENGINES) {
  test.serial(`${engine}: what a worker prints is in the error log, line by line`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': PRINTS },
      args: [
        ...serveArgs(engine, '-w', '1', '--capture-output', '--error-logfile', 'error.log'),
        // Even so: what is printed has no level.
        ...['--log-level', 'info', '--access-logfile', '-', '-b', 'unix:a.sock'],
      ],
    })
    await until(() => logged(program).some((line) => line.includes('Booting')), 'the start')
    const [pid] = await until(() => {
      const all = program.workers()
      return all.length === 1 ? all : undefined
    }, 'the worker')
    await someoneListens({ path: join(program.directory, 'a.sock') })
    await ask(program, '/print/20000')
    const printed = () => logged(program).filter((line) => line.includes('] [STDOUT] line '))
    await until(() => printed().length === 20_000, 'every line')
    t.regex(
      printed()[7] ?? '',
      new RegExp(`^\\[[^\\]]+\\] \\[${pid}\\] \\[STDOUT\\] line 7 x{90}$`),
    )
    t.true(printed().every((line, at) => line.includes(`line ${at} `)))
    await ask(program, '/long/100000')
    const long = () => logged(program).filter((line) => /\[STDOUT\] y+$/.test(line))
    await until(() => long().join('').replace(/[^y]/g, '').length === 100_000, 'the long line')
    t.true(long().every((line) => line.length < 17_000))
    await ask(program, '/child')
    await until(() => logged(program).some((line) => line.includes('[STDOUT] from a child')), 'it')
  })

  test.serial(`${engine}: what a killed worker has printed last arrives`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': PRINTS },
      args: serveArgs(engine, '-w', '1', '--capture-output'),
    })
    await program.ready(1)
    await program.get('/kill').catch(() => undefined)
    await program.line(/\[STDERR\] the last words$/)
    await program.line(/\[STDOUT\] half a line$/)
    await program.line(/Worker ready/)
    await program.get('/exit').catch(() => undefined)
    await program.line(/\[STDOUT\] exit 4999$/)
    t.is(program.log.match(/\[STDOUT\] exit \d+$/gm)?.length, 5000)
    // The logs themselves do not go through it.
    t.notRegex(program.log, /\[STD\w+\] \[/)
  })

  test.serial(`${engine}: both logs as JSON, whatever is in them`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': `${appSource('1')}\nconsole.log('a "quoted" line')` },
      args: [
        ...serveArgs(engine, '-w', '1', '--capture-output', '--error-log-format', 'json'),
        ...['--access-logfile', 'access.log', '--access-logformat', 'json'],
        ...['--error-logfile', 'error.log'],
      ],
    })
    const port = await until(() => {
      const lines = objects(program, 'error.log')
      const ready = lines.some(({ msg }) => String(msg).startsWith('Worker ready'))
      const listening = lines.find(({ msg }) => String(msg).startsWith('Listening'))
      return ready ? Number(/:(\d+) /.exec(String(listening?.msg))?.[1]) : undefined
    }, 'the start')
    const answer = await fetch(`http://127.0.0.1:${port}/caf%C3%A9?q="`, {
      headers: { 'user-agent': 'a"b\\c', authorization: `Basic ${btoa('ann:secret')}` },
    })
    t.is(answer.status, 200)
    await fetch(`http://127.0.0.1:${port}/throw`).catch(() => undefined)
    const access = await until(() => objects(program, 'access.log')[0], 'the access line')
    t.like(access, {
      ...{ method: 'GET', path: '/café', query: 'q=%22', protocol: 'HTTP/1.1', status: 200 },
      ...{ remote: '127.0.0.1', user: 'ann', user_agent: 'a"b\\c', referer: null },
    })
    t.regex(String(access.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/)
    t.is(typeof access.duration_us, 'number')
    const thrown = await until(
      () => objects(program, 'error.log').find(({ level }) => level === 'error'),
      'the error',
    )
    t.is(thrown.msg, 'Uncaught error in the application')
    t.like(thrown.err, { type: 'Error', message: 'thrown by a handler' })
    t.true(
      objects(program, 'error.log').some(
        ({ stream, msg }) => stream === 'stdout' && msg === 'a "quoted" line',
      ),
    )
  })
}

test.serial('a logger of the operator writes the error log, in arbiter and workers', async (t) => {
  const program = startProgram(t, {
    files: {
      'app.cjs': appSource('1'),
      'logger.cjs': `
        const { appendFileSync } = require('node:fs')
        exports.Mine = class {
          log({ level, message, pid, thrown }) {
            if (message.includes('usr1')) throw new Error('cannot')
            const line = [level, pid, message, thrown?.message ?? ''].join('|')
            appendFileSync('mine.log', line + '\\n')
          }
          reopen() { appendFileSync('mine.log', 'reopened\\n') }
        }`,
    },
    args: serveArgs('auto', '-w', '1', '--logger-class', './logger.cjs:Mine'),
  })
  const mine = () => {
    const path = join(program.directory, 'mine.log')
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
  }
  const has = (pattern: RegExp) =>
    until(() => mine().some((line) => pattern.test(line)), `${pattern}`)
  await has(/^info\|\d+\|Listening at/)
  await has(/^debug\|\d+\|Worker ready/)
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(mine().join('\n'))?.[1])
  await fetch(`http://127.0.0.1:${port}/throw`).catch(() => undefined)
  await has(/^error\|\d+\|Uncaught error in the application\|thrown by a handler$/)
  program.signal('SIGUSR1')
  // A line that it fails to write is written to the error log.
  await program.line(/\[INFO\] Handling signal: usr1/)
  await has(/^reopened$/)
  t.false(existsSync(join(program.directory, 'error.log')))
})

test.serial('a logger that is none ends the start', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1'), 'logger.cjs': 'module.exports = () => {}' },
    args: serveArgs('auto', '--logger-class', './logger.cjs'),
  })
  t.is(await program.exited, 1)
  t.regex(program.log, /logger_class must be .* it exports no class with a method log/)
})

function logged(program: Program): string[] {
  const path = join(program.directory, 'error.log')
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
}

function objects(program: Program, name: string): Record<string, unknown>[] {
  const path = join(program.directory, name)
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

async function ask(program: Program, path: string): Promise<void> {
  const { get } = await import('./program.ts')
  await get({ socketPath: join(program.directory, 'a.sock'), path })
}

test.serial('where a deprecation is an error, nothing of ours is deprecated', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto'),
    flags: ['--pending-deprecation', '--throw-deprecation'],
  })
  await program.ready(0)
  const { pid } = await program.who()
  t.is((await program.who()).pid, pid)
  t.notRegex(program.log, /Deprecation/)
})
