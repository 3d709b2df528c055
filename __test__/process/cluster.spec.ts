// Programs that use node:cluster: each worker is a worker of a cluster to them, and they serve
// unchanged.

import test from 'ava'

import { ENGINES, type Program, serveArgs, startProgram, until } from './program.ts'

/** Forks in the primary process and listens in the others, as Node's documentation does. */
const FORKING = {
  'app.cjs': `const cluster = require('node:cluster')
const http = require('node:http')
const { availableParallelism } = require('node:os')
if (cluster.isPrimary) {
  for (let i = 0; i < availableParallelism(); i++) cluster.fork()
  cluster.on('exit', () => cluster.fork())
} else {
  const { worker, isWorker, isMaster } = cluster
  http.createServer((req, res) => {
    setTimeout(() => res.end(JSON.stringify({ id: worker.id, isWorker, isMaster })), 50)
  }).listen(3000)
}`,
  'app.mjs': `import { createServer } from 'node:http'
import cluster, { isPrimary, isMaster, isWorker, worker } from 'node:cluster'
if (isPrimary) cluster.fork()
else {
  const isSame = worker === cluster.worker && worker.process === process
  createServer((req, res) => {
    const answer = { id: isSame && worker.id, isWorker, isMaster }
    setTimeout(() => res.end(JSON.stringify(answer)), 50)
  }).listen(3000)
}`,
}

for (const engine of ENGINES) {
  for (const file of Object.keys(FORKING)) {
    test.serial(`${engine}: ${file} that forks in a primary process listens in each`, async (t) => {
      const args = [file, ...serveArgs(engine, '-w', '2').slice(1)]
      const program = await startProgram(t, { files: FORKING, args }).ready(2)
      const seen = new Map<number, unknown>()
      await until(async () => {
        // More requests at a time than one worker takes while the other one is idle.
        const answers = await Promise.all(Array.from({ length: 16 }, () => program.get()))
        for (const body of answers.map((answer) => JSON.parse(answer.body))) seen.set(body.id, body)
        return seen.size === 2
      }, 'an answer of both workers')
      t.deepEqual(seen.get(1), { id: 1, isWorker: true, isMaster: false })
      t.deepEqual(seen.get(2), { id: 2, isWorker: true, isMaster: false })
    })
  }
}

/** A program that calls what only a primary process has. */
const CALLING = `const cluster = require('node:cluster')
cluster.setupPrimary({ exec: 'other.js' })
const forked = [cluster.fork(), cluster.fork()]
require('node:http').createServer((req, res) => res.end(JSON.stringify({
  workers: Object.keys(cluster.workers),
  sent: forked[0].send('hello'),
  dead: forked.map((worker) => worker.isDead() && !worker.isConnected()),
  own: cluster.worker.isConnected() && !cluster.worker.isDead(),
}))).listen(3000)`

test.serial('cluster.fork() starts no process and warns once', async (t) => {
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': CALLING }, args }).ready(1)
  t.deepEqual(JSON.parse((await program.get()).body), {
    ...{ workers: [], sent: false, dead: [true, true], own: true },
  })
  t.is(program.workers().length, 1)
  t.is(program.log.match(/\[WARNING\] cluster\.fork\(\) starts no process/g)?.length, 1)
})

for (const method of ['disconnect', 'kill']) {
  test.serial(
    `cluster.worker.${method}() finishes the requests, and a successor comes`,
    async (t) => {
      const source = `const cluster = require('node:cluster')
    const events = []
    cluster.worker.on('disconnect', () => events.push('disconnect'))
    module.exports = (req, res) => {
      if (req.url !== '/leave') return res.end(String(process.pid))
      cluster.worker.${method}()
      const isLeaving = cluster.worker.exitedAfterDisconnect
      setTimeout(() => res.end([isLeaving, process.connected, ...events].join()), 100)
    }`
      const args = serveArgs('auto', '-w', '1')
      const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
      const { body: pid } = await program.get()
      t.is((await program.get('/leave')).body, 'true,false,disconnect')
      await program.line(/Worker ready/)
      t.not((await program.get()).body, pid)
    },
  )
}

test.serial('a message to the primary process is discarded with one warning', async (t) => {
  const source = `process.send('ready')
  process.send({ topic: 'log4js:message', data: 'x'.repeat(1_000) })
  module.exports = (req, res) => {
    require('node:cluster').worker.send('again', () => res.end('sent'))
  }`
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
  t.is((await program.get()).body, 'sent')
  const lines = program.log.match(/\[WARNING\] process\.send\(\) reaches no process.*/g)
  t.is(lines?.length, 1)
  t.regex(String(lines), /the first message is \{ topic: 'log4js:message', data: 'x+\.\.\.$/)
})

/** Calls of `bind` on a UDP socket; each form must open a port of this process. */
const BINDS = [
  `bind(bound)`,
  `bind(0, bound)`,
  `bind(0, '127.0.0.1', bound)`,
  `bind({ port: 0 }, bound)`,
]

test.serial('a UDP socket of a worker binds by itself', async (t) => {
  const source = `const dgram = require('node:dgram')
  const ports = []
  function bound() { ports.push(this.address().port) }
  ${BINDS.map((call) => `dgram.createSocket('udp4').${call}`).join('\n')}
  module.exports = (req, res) => res.end(JSON.stringify(ports))`
  const args = serveArgs('auto', '-w', '1')
  const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
  const ports = await until(() => portsOf(program, BINDS.length), 'the bound sockets')
  t.true(ports.every((port) => port > 0))
})

async function portsOf(program: Program, count: number): Promise<number[] | undefined> {
  const ports: number[] = JSON.parse((await program.get()).body)
  return ports.length === count ? ports : undefined
}
