// Checks for leaks: clients in a child process abort requests and upgrades at random points.
// The script prints the memory, descriptors and resources of the server several times. A figure
// that grows with each line is a leak. Run it by hand:
// `node --expose-gc --import tsx scripts/aborts.ts [count] [share of upgrades]`.
// `npm test` includes a smaller run (__test__/http/aborts.spec.ts).

import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { abortedProgram, abortedUpgrade, abortMany, type Seen } from '../__test__/http/aborting.ts'
import { until } from '../__test__/http/client.ts'
import { bindNatively, config, log } from '../__test__/http/engines.ts'
import { createNativeEngine } from '../ts/engine/native/engine.ts'

/** Number of clients that are connected at the same time. */
const CONCURRENT_CLIENTS = 100
/** Maximum size of a request body, in bytes. */
const MAX_BODY_BYTES = 40_000
/** Number of clients before the first figures, until pools and caches have their full size. */
const WARM_UP_CLIENTS = 10_000
/** How often figures are printed after the warm-up. */
const ROUNDS = 5

const [count = '', upgrades = '', port] = process.argv.slice(2)
const options = { count: Number(count || 100_000), upgrades: Number(upgrades || 0.2) }
if (process.send === undefined) await serve(options)
else await abortRequests(Number(port), options)

interface RunOptions {
  /** Total number of clients. */
  readonly count: number
  /** Share of clients that request an upgrade, from 0 to 1. */
  readonly upgrades: number
}

async function serve({ count, upgrades }: RunOptions): Promise<void> {
  const seen: Seen = { requests: 0, closed: 0, errors: [] }
  const engine = createNativeEngine({ config, log })
  const { fd, port } = bindNatively()
  const server = http.createServer(abortedProgram(seen)).on('upgrade', abortedUpgrade(seen))
  await engine.serve({ style: 'node', server }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  for (let round = 0; round <= ROUNDS; round++) {
    await runClients(port, { count: round === 0 ? WARM_UP_CLIENTS : count / ROUNDS, upgrades })
    await waitUntilIdle()
    console.log(WARM_UP_CLIENTS + (round * count) / ROUNDS, resourceUsage())
  }
  console.log(`${seen.requests} requests and upgrades reached the application`)
  console.log('counters', engine.counters(), 'errors', seen.errors.length)
  engine.close()

  async function waitUntilIdle(): Promise<void> {
    const isIdle = () => engine.counters().connections === 0 && seen.closed === seen.requests
    await until(isIdle).catch((error: unknown) => {
      console.log('connections or requests remain open', engine.counters(), seen, resourceUsage())
      throw error
    })
    globalThis.gc?.()
  }
}

function resourceUsage() {
  const { rss, heapUsed } = process.memoryUsage()
  return {
    rssMiB: Math.round(rss / 2 ** 20),
    heapMiB: Math.round(heapUsed / 2 ** 20),
    descriptors: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().length,
  }
}

/** Runs this script as a child process that acts as the clients, and waits for its exit. */
function runClients(port: number, { count, upgrades }: RunOptions): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [count, upgrades, port].map(String))
  return new Promise((resolve) => child.on('exit', () => resolve()))
}

async function abortRequests(port: number, { count, upgrades }: RunOptions): Promise<void> {
  await abortMany(port, {
    count,
    upgrades,
    atOnce: CONCURRENT_CLIENTS,
    seed: count,
    mostBody: MAX_BODY_BYTES,
  })
  process.disconnect()
}
