// `tsx scripts/aborts.ts [count]`: clients of a process of their own leave at any point of their requests, and what the
// server holds afterwards is compared with what it held before. Run by hand; `npm test` has a small one.

import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { abortedProgram, abortMany, type Seen } from '../__test__/http/aborting.ts'
import { until } from '../__test__/http/client.ts'
import { bindNatively, config, log } from '../__test__/http/engines.ts'
import { createNativeEngine } from '../ts/engine/native.ts'

const AT_ONCE = 100
const MOST_BODY = 40_000
/** Clients before the first look: pools and caches are as large as they get. */
const WARM_UP = 10_000

if (process.send === undefined) await serve(Number(process.argv[2] ?? 100_000))
else await leave(Number(process.argv[2]), Number(process.argv[3]))

async function serve(count: number): Promise<void> {
  const seen: Seen = { requests: 0, closed: 0, errors: [] }
  const engine = createNativeEngine({ config, log })
  const { fd, port } = bindNatively()
  const server = http.createServer(abortedProgram(seen))
  await engine.serve({ style: 'node', server }, [{ fd, address: `http://127.0.0.1:${port}` }])
  await clients(port, WARM_UP)
  await quiet()
  const before = figures()
  await clients(port, count)
  await quiet()
  console.log(`${count} clients left, ${seen.requests} requests reached the program`)
  console.log('before', before)
  console.log('after ', figures())
  console.log('counters', engine.counters(), 'errors', seen.errors.length)
  engine.close()

  async function quiet(): Promise<void> {
    await until(() => engine.counters().connections === 0 && seen.closed === seen.requests)
    globalThis.gc?.()
  }
}

function figures() {
  const { rss, heapUsed } = process.memoryUsage()
  return {
    rssMiB: Math.round(rss / 2 ** 20),
    heapMiB: Math.round(heapUsed / 2 ** 20),
    descriptors: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().length,
  }
}

function clients(port: number, count: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [String(port), String(count)])
  return new Promise((resolve) => child.on('exit', () => resolve()))
}

async function leave(port: number, count: number): Promise<void> {
  await abortMany(port, { count, atOnce: AT_ONCE, seed: count, mostBody: MOST_BODY })
  process.disconnect()
}
