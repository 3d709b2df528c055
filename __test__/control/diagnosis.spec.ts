// The commands that look into a worker, on the real program: top, profile, heap-snapshot, inspect.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import type { TopReport } from '../../ts/cli/ctl/top.ts'
import type { FileReport, InspectReport } from '../../ts/control/reports.ts'
import { native } from '../../ts/native/index.ts'
import { until } from '../process/program.ts'
import { needs } from '../requirements.ts'
import { MAIN, startControlled } from './ctl.ts'

test.serial('top shows the rates of each worker', async (t) => {
  const { program, ctl, ask } = await startControlled(t)
  let isRunning = true
  const load = (async () => {
    while (isRunning) await program.get()
  })()
  const report: TopReport = await ask('top')
  const { status, out } = await ctl('top')
  isRunning = false
  await load
  t.is(status, 0)
  const [worker] = report.workers
  t.like(worker, { pid: program.workers()[0], state: 'serving' })
  t.true((worker?.requestsPerSecond ?? 0) > 1)
  t.true((worker?.utilization ?? 0) > 0 && (worker?.utilization ?? 0) <= 1)
  if (native !== null) t.true((worker?.p99 ?? 0) >= (worker?.p50 ?? 1))
  const lines = out.trimEnd().split('\n')
  t.regex(lines[0] ?? '', /^app\.cjs \(\d+\), serving, up .*requests\/s, \d+ in flight/)
  t.regex(lines[1] ?? '', /PID +STATE +REQ\/S +P50 +P99 +FLIGHT +CONNS +LOOP +MEMORY/)
  t.is(lines.length, 3)
  t.true(lines.every((line) => line.length <= 80))
})

const testTerminal = needs('/usr/bin/script', existsSync('/usr/bin/script'))

// Without script(1) there is no pseudo-terminal.
testTerminal('top is live on a terminal', async (t) => {
  const { runtime } = await startControlled(t)
  const command = `${process.execPath} ${MAIN} ctl top`
  const child = spawn('/usr/bin/script', ['-qfec', command, '/dev/null'], {
    env: { ...process.env, NODE_OPTIONS: '', XDG_RUNTIME_DIR: runtime, TMPDIR: runtime },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  await until(() => shown.split('requests/s').length > 2, 'two tables')
  child.stdin.write('\u0003')
  await new Promise((done) => child.on('exit', done))
  t.pass()
})

test.serial('profile and heap-snapshot write files that the tools of V8 read', async (t) => {
  const { program, ctl, ask } = await startControlled(t)
  const [worker = 0] = program.workers()
  const taken = ask(`profile ${worker} --seconds 1`)
  await program.line(/Handling command: profile/)
  const second = await ctl(`profile ${worker}`)
  t.is(second.status, 1)
  t.regex(second.err, /a profile of this worker is being recorded/)
  await program.get('/block/200')
  const profile: FileReport = await taken
  removeLater(t, profile.path)
  const { nodes }: { nodes: { callFrame: { url: string } }[] } = JSON.parse(
    readFileSync(profile.path, 'utf8'),
  )
  t.true(nodes.some(({ callFrame }) => callFrame.url.endsWith('/app.cjs')))
  const { out } = await ctl(`heap-snapshot ${worker}`)
  const path = /has written (\S+)/.exec(out)?.[1] ?? ''
  removeLater(t, path)
  t.truthy(JSON.parse(readFileSync(path, 'utf8')).snapshot)
  t.is(statSync(dirname(path)).mode & 0o777, 0o700)
  t.is((await program.who()).pid, worker)
})

test.serial('inspect opens a worker to a debugger on this machine, and closes it', async (t) => {
  const { program, ctl, ask } = await startControlled(t)
  const [worker = 0] = program.workers()
  const { url }: InspectReport = await ask(`inspect ${worker}`)
  const { hostname, port } = new URL(String(url))
  t.is(hostname, '127.0.0.1')
  await new Promise((done) => connect({ host: hostname, port: Number(port) }).on('connect', done))
  t.is((await ask(`inspect ${worker}`)).url, url)
  const { out } = await ctl(`inspect ${worker} off`)
  t.is(out, `worker ${worker} is closed to debuggers\n`)
  const taken = await ctl(`inspect ${worker} ${program.port}`)
  t.is(taken.status, 1)
  t.regex(taken.err, new RegExp(`EADDRINUSE: port ${program.port} cannot be opened`))
})

test.serial('wrong workers and arguments are refused', async (t) => {
  const { ctl } = await startControlled(t)
  const refusals = [
    ['profile 1', /no worker that serves has the pid 1; these do: \d+/],
    ['profile 1 --seconds 0', /N must be from 1 to 300, got 0/],
    ['profile 1 --secs 3', /the arguments must be: PID or PID --seconds N/],
    ['heap-snapshot', /one argument is needed: PID/],
    ['inspect 1 70000', /the arguments must be: PID, PID PORT or PID off/],
  ] as const
  for (const [words, reason] of refusals) {
    const { status, err } = await ctl(words)
    t.is(status, 1)
    t.regex(err, reason)
  }
})

function removeLater(t: ExecutionContext, path: string): void {
  t.teardown(() => rmSync(dirname(path), { recursive: true, force: true }))
}
