// Signals to processes that are not ready for them yet: a worker before it has handlers, one that
// loads its application, a new arbiter.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { appSource, childrenOf, serveArgs, startProgram, until } from './program.ts'

// To a process without handlers TTIN and TTOU mean stop, the others end it.
for (const signal of ['SIGTTIN', 'SIGTTOU', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGTERM'] as const) {
  test.serial(
    `${signal} to a worker from its first moment on: it serves, or another one`,
    async (t) => {
      const files = { 'app.cjs': appSource('1') }
      const args = serveArgs('auto', '-w', '1', '--boot-timeout', '20')
      const program = startProgram(t, { files, args })
      const worker = await until(
        () => program.workers().find((pid) => isItself(pid, program.pid)),
        'the worker',
      )
      process.kill(worker, signal)
      await program.ready(1)
      t.is((await program.who()).version, '1')
      t.is(program.workers().length, 1)
      t.notRegex(program.log, /failed to boot|was not ready within/)
    },
  )
}

test.serial(
  'a worker is in a session of its own, where the terminal does not reach it',
  async (t) => {
    const args = serveArgs('auto', '-w', '1')
    const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
    const [worker = 0] = program.workers()
    t.deepEqual(groupAndSession(worker), [worker, worker])
  },
)

for (const signal of ['SIGTERM', 'SIGQUIT', 'SIGINT'] as const) {
  test.serial(
    `${signal} to a worker that loads its application is no failure to load`,
    async (t) => {
      // The first one reports its handlers, and never finishes loading.
      const app = `const { existsSync, writeFileSync } = require('node:fs')
      if (existsSync('first')) module.exports = (req, res) => res.end('second')
      else { writeFileSync('first', ''); console.error('loading'); setInterval(() => {}, 1000) }`
      const args = serveArgs('auto', '-w', '1', '--boot-timeout', '20')
      const program = startProgram(t, { files: { 'app.cjs': app }, args })
      await program.line(/loading/)
      const [worker = 0] = program.workers()
      process.kill(worker, signal)
      await program.line(new RegExp(`Worker \\(pid:${worker}\\) was sent ${signal}!`))
      await program.line(/Worker ready/)
      t.notRegex(program.log, /failed to boot|the next one starts in/)
    },
  )
}

test.serial('INT to a worker that serves: replaced at once, and no crash', async (t) => {
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  const [worker = 0] = program.workers()
  process.kill(worker, 'SIGINT')
  await program.line(new RegExp(`Worker \\(pid:${worker}\\) was sent SIGINT!`))
  await program.line(/Worker ready/)
  t.not((await program.who()).pid, worker)
  t.notRegex(program.log, /the next one starts in/)
})

test.serial('a new arbiter that TTIN has stopped is woken', async (t) => {
  const args = serveArgs('auto', '-w', '1', '-n', `stopped-${process.pid}`)
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(1)
  const [worker] = program.workers()
  program.signal('SIGUSR2')
  const newer = await until(
    () => childrenOf(program.pid).find((pid) => pid !== worker && isItself(pid, program.pid)),
    'the new arbiter',
  )
  process.kill(newer, 'SIGTTIN')
  await program.line(/The new arbiter \(pid: \d+\) is serving beside this one/)
  process.kill(newer, 'SIGTERM')
  await program.line(/The new arbiter .* exited/)
  t.pass()
})

/** Between fork and exec a child is a copy of its parent; stopped there, it blocks its parent. */
function isItself(pid: number, parent: number): boolean {
  const [own, of] = [pid, parent].map((each) => readFileSync(`/proc/${each}/cmdline`, 'utf8'))
  return own !== of
}

function groupAndSession(pid: number): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // After the name in brackets: state, parent, group, session.
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(2, 4)
    .map(Number)
}
