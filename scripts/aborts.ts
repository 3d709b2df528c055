// `tsx scripts/aborts.ts [count] [share of upgrades]`: clients of a process of their own leave at any point of their
// requests and upgrades, and what the server holds is told again and again: what grows on is a leak. Run by hand; `npm
// test` has a small one.

import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { abortedProgram, abortedUpgrade, abortMany, type Seen } from '../__test__/http/aborting.ts'
import { until } from '../__test__/http/client.ts'
import { bindNatively, config, log } from '../__test__/http/engines.ts'
import { createNativeEngine } from '../ts/engine/native/engine.ts'

const AT_ONCE = 100
const MOST_BODY = 40_000
/** Clients before the first look: pools and caches are as large as they get. */
const WARM_UP = 10_000
/** Between the warm-up and the end. */
const LOOKS = 5

const [count = '', upgrades = '', port] = process.argv.slice(2)
const wanted = { count: Number(count || 100_000), upgrades: Number(upgrades || 0.2) }
if (process.send === undefined) await serve(wanted)
else await leave(Number(port), wanted)

interface Wanted {
  readonly count: number
  readonly upgrades: number
}

async function serve({ count, upgrades }: Wanted): Promise<void> {
  const seen: Seen = { requests: 0, closed: 0, errors: [] }
  const engine = createNativeEngine({ config, log })
  const { fd, port } = bindNatively()
  const server = http.createServer(abortedProgram(seen)).on('upgrade', abortedUpgrade(seen))
  await engine.serve({ style: 'node', server }, [{ fd, address: `http://127.0.0.1:${port}` }])
  for (let look = 0; look <= LOOKS; look++) {
    await clients(port, { count: look === 0 ? WARM_UP : count / LOOKS, upgrades })
    await quiet()
    console.log(WARM_UP + (look * count) / LOOKS, figures())
  }
  console.log(`${seen.requests} requests and upgrades reached the program`)
  console.log('counters', engine.counters(), 'errors', seen.errors.length)
  engine.close()

  async function quiet(): Promise<void> {
    const isOver = () => engine.counters().connections === 0 && seen.closed === seen.requests
    await until(isOver).catch((error: unknown) => {
      console.log('something stays', engine.counters(), seen, figures())
      throw error
    })
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

function clients(port: number, { count, upgrades }: Wanted): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [count, upgrades, port].map(String))
  return new Promise((resolve) => child.on('exit', () => resolve()))
}

async function leave(port: number, { count, upgrades }: Wanted): Promise<void> {
  await abortMany(port, { count, upgrades, atOnce: AT_ONCE, seed: count, mostBody: MOST_BODY })
  process.disconnect()
}
