// statsd from outside: Gunicorn's names, counters that are right, tags and prefix.

import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'

import { needsAddon } from '../requirements.ts'
import { appSource, ENGINES, serveArgs, startProgram, until, WITHOUT_ADDON } from './program.ts'
import { type Receiver, udpReceiver } from './receivers.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: statsd counts every request, its status and its duration`, async (t) => {
    const statsd = await udpReceiver(t)
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: [
        ...serveArgs(engine, '-w', '2', '--statsd-host', statsd.address),
        ...['--statsd-prefix', 'shop', '--dogstatsd-tags', 'env:test,zone:a'],
      ],
    })
    await program.ready(2)
    for (let count = 0; count < 20; count += 1) await program.get('/hello')
    await program.get('/slow/120')
    await program.get('/throw').catch(() => undefined)
    await until(() => sum(statsd, 'gunicorn.requests') === 22, 'every request')
    t.is(sum(statsd, 'gunicorn.request.status.200'), 21)
    t.is(sum(statsd, 'gunicorn.request.status.500'), 1)
    await until(() => values(statsd, 'gunicorn.request.duration').length === 22, 'each duration')
    const durations = values(statsd, 'gunicorn.request.duration')
    t.is(durations.filter((ms) => ms >= 115).length, 1)
    await until(() => values(statsd, 'gunicorn.workers').includes(2), 'the number of workers')
    await until(() => sum(statsd, 'gunicorn.log.exception') === 1, 'the exception in the log')
    const all = statsd.received.flatMap((datagram) => datagram.split('\n'))
    t.true(all.every((line) => /^shop\.gunicorn\.[\w.]+:.*\|#env:test,zone:a$/.test(line)))
    t.true(all.includes('shop.gunicorn.request.status.500:1|c|@1.0|#env:test,zone:a'))
    program.signal('SIGTTIN')
    await until(() => values(statsd, 'gunicorn.workers').includes(3), 'one worker more')
  })
}

const testNative = needsAddon()

testNative('the backlog in the kernel is reported every second', async (t) => {
  const statsd = await udpReceiver(t)
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('native', '--statsd-host', statsd.address, '--enable-backlog-metric'),
  })
  await program.ready(1)
  await until(() => values(statsd, 'gunicorn.backlog').includes(0), 'an empty queue')
  // A stopped worker takes nothing, once each of its threads has stopped.
  const [worker] = program.workers()
  process.kill(worker ?? 0, 'SIGSTOP')
  const threads = `/proc/${worker}/task`
  const stopped = (thread: string) =>
    /\) T /.test(readFileSync(`${threads}/${thread}/stat`, 'utf8'))
  await until(() => readdirSync(threads).every(stopped), 'the threads of the worker to stop')
  const answers = [1, 2, 3].map(() => program.get('/hello'))
  await until(() => values(statsd, 'gunicorn.backlog').includes(3), 'three connections that wait')
  process.kill(worker ?? 0, 'SIGCONT')
  for (const answer of answers) t.is((await answer).status, 200)
})

test.serial('without the addon the backlog is unknown, which is logged once', async (t) => {
  const statsd = await udpReceiver(t)
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1'), ...WITHOUT_ADDON.files },
    args: serveArgs('auto', '--statsd-host', statsd.address, '--enable-backlog-metric'),
    env: WITHOUT_ADDON.env,
  })
  await program.ready(1)
  await program.line(/enable_backlog_metric has no effect: the addon is not loaded/)
  // Nothing is logged the next times: the metric is read when the number of workers is.
  for (const workers of [2, 3]) {
    program.signal('SIGTTIN')
    await until(() => values(statsd, 'gunicorn.workers').includes(workers), 'the new number')
  }
  t.is(program.log.match(/enable_backlog_metric/g)?.length, 1)
})

test.serial('a reload closes the sockets of the old workers', async (t) => {
  const statsd = await udpReceiver(t)
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', '1', '--statsd-host', statsd.address),
  })
  await program.ready(1)
  const reload = async () => {
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    await until(() => program.workers().length === 1, 'the old worker to end')
  }
  const descriptors = () => readdirSync(`/proc/${program.pid}/fd`).length
  await reload()
  const before = descriptors()
  const reloads = 4
  for (let count = 0; count < reloads; count += 1) await reload()
  // One may be open for something else; each reload would have left one or more.
  await until(() => descriptors() < before + reloads, `about ${before} descriptors`)
  t.is(program.workers().length, 1)
})

/** The values of all samples of a name. */
function values({ received }: Receiver, name: string): number[] {
  return received
    .flatMap((datagram) => datagram.split('\n'))
    .flatMap((line) => {
      const [known = '', value = ''] = line.split('|')[0]?.split(':') ?? []
      return known === name || known === `shop.${name}` ? [Number(value)] : []
    })
}

function sum(receiver: Receiver, name: string): number {
  return values(receiver, name).reduce((all, value) => all + value, 0)
}
