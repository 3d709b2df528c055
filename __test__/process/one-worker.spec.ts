// Work that exactly one worker does, on the real command. The application writes an event when the
// work begins and when it has ended, with a clock that all processes share.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import type { WorkerReport } from '../../ts/control/reports.ts'
import { startControlled } from '../control/ctl.ts'
import {
  childrenOf,
  ENGINES,
  isAlive,
  type Program,
  serveArgs,
  startProgram,
  until,
} from './program.ts'
import { upgrade } from './upgrading.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const WORK = `
  const { appendFileSync } = require('node:fs')
  const note = (name) => {
    const ms = process.hrtime.bigint() / 1_000_000n
    appendFileSync('events', JSON.stringify({ name, pid: process.pid, ms: Number(ms) }) + '\\n')
  }
  async function work(signal) {
    note('begin')
    const isFirst = readFileSync('events', 'utf8').split('begin').length === 2
    if (process.env.BLOCKS && isFirst) for (;;) {}
    await new Promise((done) => signal.addEventListener('abort', done))
    await new Promise((done) => setTimeout(done, 50))
    note('end')
  }
  const { readFileSync } = require('node:fs')`

const APP = `${WORK}
  require('monoceros').runInOneWorker(work)
  module.exports = (req, res) => res.end(String(process.pid))`

/** The application, with the package where it looks for it. */
const LINKED_APP = {
  files: { 'app.cjs': APP },
  prepare(directory: string) {
    mkdirSync(join(directory, 'node_modules'))
    symlinkSync(ROOT, join(directory, 'node_modules/monoceros'))
  },
}

interface WorkEvent {
  readonly name: 'begin' | 'end'
  readonly pid: number
  readonly ms: number
}

for (const engine of ENGINES) {
  test.serial(`${engine}: work of one worker moves at HUP, KILL and TTOU`, async (t) => {
    const program = await start(t, serveArgs(engine, '-w', '2')).ready(2)
    const first = await begun(program, 1)
    t.true(program.workers().includes(first.pid))
    t.true(program.log.includes(`Worker (pid:${first.pid}) does the work of one worker`))

    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    const second = await begun(program, 2)
    const [, end] = events(program)
    t.deepEqual([end?.name, end?.pid], ['end', first.pid])
    t.true(second.ms - (end?.ms ?? 0) < 1_000, 'the gap is short')
    t.true(program.workers().includes(second.pid))

    process.kill(second.pid, 'SIGKILL')
    const third = await begun(program, 3)
    t.false(isAlive(second.pid))
    await program.line(/Worker ready/)

    program.signal('SIGTTOU')
    const fourth = await begun(program, 4)
    t.deepEqual(
      events(program)
        .map(({ name }) => name)
        .slice(-2),
      ['end', 'begin'],
    )
    t.is(new Set([first, second, third, fourth].map(({ pid }) => pid)).size, 4)

    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.deepEqual(events(program).at(-1)?.name, 'end')
    t.is(events(program).filter(({ name }) => name === 'begin').length, 4)
  })
}

test.serial('ctl shows which worker has the work', async (t) => {
  const { program, ask, ctl } = await startControlled(t, { ...LINKED_APP, workers: 2 })
  const { pid } = await begun(program, 1)
  const workers: WorkerReport[] = await ask('workers')
  t.deepEqual(
    workers.filter(({ leads }) => leads).map((worker) => worker.pid),
    [pid],
  )
  const lines = (await ctl('workers')).out.split('\n')
  t.deepEqual(
    lines.filter((line) => line.includes('leading')).map((line) => Number.parseInt(line, 10)),
    [pid],
  )
})

test.serial('during an upgrade one of both arbiters has the work', async (t) => {
  const program = await start(t, serveArgs('auto', '-w', '1')).ready(1)
  const first = await begun(program, 1)
  const newer = await upgrade(t, program)
  t.is(events(program).length, 1)
  program.signal('SIGTERM')
  const second = await begun(program, 2)
  t.deepEqual(
    events(program).map(({ name }) => name),
    ['begin', 'end', 'begin'],
  )
  t.true(second.ms - (events(program)[1]?.ms ?? 0) < 1_000)
  t.not(second.pid, first.pid)
  t.true(childrenOf(newer).includes(second.pid))
})

test.serial('a killed arbiter: the new one waits for the worker that has the work', async (t) => {
  const program = await start(t, serveArgs('auto', '-w', '1')).ready(1)
  const first = await begun(program, 1)
  const newer = await upgrade(t, program)
  program.signal('SIGKILL')
  const second = await begun(program, 2)
  t.false(isAlive(first.pid))
  t.true(childrenOf(newer).includes(second.pid))
})

test.serial('work that blocks its worker moves when timeout ends the worker', async (t) => {
  const args = serveArgs('auto', '-w', '2', '--timeout', '1')
  const program = await start(t, args, { env: { BLOCKS: '1' } }).ready(2)
  const first = await begun(program, 1)
  await begun(program, 2)
  t.false(isAlive(first.pid))
  t.true(program.log.includes(`WORKER TIMEOUT (pid:${first.pid})`))
})

test.serial('one_worker names a function that one worker runs', async (t) => {
  const files = {
    'app.cjs': 'module.exports = (req, res) => res.end()',
    'jobs.cjs': `${WORK}\nexports.consume = work`,
  }
  const args = serveArgs('auto', '-w', '2', '--one-worker', './jobs.cjs:consume')
  const program = await start(t, args, { files }).ready(2)
  await begun(program, 1)
  program.signal('SIGHUP')
  await program.line(/Reload complete/)
  await begun(program, 2)
  t.deepEqual(
    events(program).map(({ name }) => name),
    ['begin', 'end', 'begin'],
  )
})

test.serial('one_worker without such a function fails the start', async (t) => {
  const args = serveArgs('auto', '--one-worker', './jobs.cjs:consume')
  const program = start(t, args, { files: { 'app.cjs': APP, 'jobs.cjs': 'exports.other = 1' } })
  await program.line(/one_worker must be FILE or FILE:EXPORT of a function, got ".\/jobs.cjs:cons/)
  t.is(await program.exited, 3)
  t.false(existsSync(join(program.directory, 'events')))
})

test.serial('work that fails is an uncaught error, and a successor has it', async (t) => {
  const source = APP.replace("note('begin')", "note('begin')\n    if (!signal.failed) failOnce()")
  const failOnce = `
    const failOnce = () => {
      if (readFileSync('events', 'utf8').split('begin').length === 2) throw new Error('no queue')
    }`
  const files = { 'app.cjs': `${failOnce}\n${source}` }
  const program = await start(t, serveArgs('auto', '-w', '1'), { files }).ready(1)
  await program.line(/Unhandled rejection in the application\n?.*no queue/)
  const second = await begun(program, 2)
  t.true(program.workers().includes(second.pid))
})

test.serial('a thread of a worker cannot have such work', async (t) => {
  const files = {
    'app.cjs': `
      const { Worker } = require('node:worker_threads')
      new Worker("require('monoceros').runInOneWorker(() => {})", { eval: true }).on(
        'error', (error) => console.error(error.code, error.message))
      module.exports = (req, res) => res.end()`,
  }
  const program = start(t, serveArgs('auto'), { files })
  await program.line(/ERR_ONE_WORKER_THREAD runInOneWorker\(\) must be called in the main thread/)
  t.pass()
})

test('without Monoceros the work runs', (t) => {
  const source = "require('monoceros').runInOneWorker((signal) => console.log(signal.aborted))"
  const { stdout } = spawnSync(process.execPath, ['-e', source], {
    ...{ cwd: ROOT, encoding: 'utf8' },
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  t.is(stdout, 'false\n')
})

function start(
  t: ExecutionContext,
  args: readonly string[],
  options: { files?: Record<string, string>; env?: Record<string, string> } = {},
): Program {
  return startProgram(t, { ...LINKED_APP, args, ...options })
}

function events({ directory }: Program): WorkEvent[] {
  const path = join(directory, 'events')
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): WorkEvent => JSON.parse(line))
}

/** Waits until the work has begun `count` times; returns the last begin. */
function begun(program: Program, count: number): Promise<WorkEvent> {
  return until(() => {
    const begins = events(program).filter(({ name }) => name === 'begin')
    return begins.length >= count ? begins.at(-1) : undefined
  }, `begin ${count} of the work`).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${program.log}`)
  })
}
