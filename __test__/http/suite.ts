/**
 * The conformance suite. Each scenario runs on node:http, which is the oracle, and on the engine
 * under test. Both must give the same result.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestFn } from 'ava'
import { bodies } from './cases/bodies.ts'
import { clientErrors } from './cases/client-errors.ts'
import { expectations } from './cases/expectations.ts'
import { flows } from './cases/flowing.ts'
import { heads } from './cases/heads.ts'
import { lives } from './cases/lives.ts'
import { objects } from './cases/objects.ts'
import { refusals } from './cases/refusals.ts'
import { seldom } from './cases/seldom.ts'
import { servers } from './cases/servers.ts'
import { sockets } from './cases/sockets.ts'
import { streams } from './cases/streams.ts'
import { upgrades } from './cases/upgrades.ts'
import { until, untilQuiet } from './client.ts'

/** Serves a server that does not listen yet; `close` closes its connections. */
export type Start = (server: http.Server) => Promise<Running>

export interface Running {
  readonly port: number
  close(): void
}

/** What a scenario gets. */
export interface Stage {
  /**
   * Serves a listener, or a server that the scenario has made, until the scenario ends. Returns the
   * port.
   */
  serve(program: http.RequestListener | http.Server): Promise<number>
  /**
   * Waits until a log of events is complete. On node:http it is when no event follows for a while.
   * The engine under test must log as many events, and gets the same while to log one too many.
   */
  settled(log: readonly unknown[]): Promise<void>
}

/** Returns a value that must be equal on both. */
export type Scenario = (stage: Stage) => Promise<unknown>

export type Scenarios = Readonly<Record<string, Scenario>>

/** All scenarios, by what they compare. The name of a group is a part of the title of its tests. */
const GROUPS: Readonly<Record<string, Scenarios>> = {
  'response head': heads,
  'request body': bodies,
  'refused call': refusals,
  'invalid input': clientErrors,
  'life cycle': lives,
  properties: objects,
  server: servers,
  expectation: expectations,
  socket: sockets,
  'rare use': seldom,
  stream: streams,
  'flowing request': flows,
  upgrade: upgrades,
}

/** The keep-alive time of the engines, which responses show in their Keep-Alive field. */
export const KEEP_ALIVE_SECONDS = 75

/**
 * Declares a test for each scenario. `skip` has those that an engine cannot pass, each with its
 * reason.
 */
export function conformance(
  test: TestFn,
  start: Start,
  skip: Readonly<Record<string, string>> = {},
): void {
  const all = Object.entries(GROUPS).flatMap(([group, scenarios]) =>
    Object.entries(scenarios).map(([name, scenario]) => ({ group, name, scenario })),
  )
  for (const { group, name, scenario } of all) {
    const title = `${group} as on node:http: ${name}`
    if (skip[name] !== undefined) {
      test.skip(`${title} (${skip[name]})`, () => {})
      continue
    }
    test.serial(title, async (t) => {
      const lengths: number[] = []
      const expected = await play(scenario, startOracle, async (log) => {
        await untilQuiet(() => log.length)
        lengths.push(log.length)
      })
      const actual = await play(scenario, start, async (log) => {
        const length = lengths.shift() ?? 0
        // Where events are missing, the comparison shows which.
        await until(() => log.length >= length).catch(() => {})
        await untilQuiet(() => log.length)
      })
      t.deepEqual(actual, expected)
    })
  }
}

async function play(scenario: Scenario, start: Start, settled: Stage['settled']): Promise<unknown> {
  const running: Running[] = []
  try {
    return await scenario({
      settled,
      async serve(program) {
        const server = typeof program === 'function' ? http.createServer(program) : program
        const one = await start(server)
        running.push(one)
        return one.port
      },
    })
  } finally {
    for (const one of running) one.close()
  }
}

/** Starts a server on node:http itself. */
export async function startOracle(server: http.Server): Promise<Running> {
  server.keepAliveTimeout = KEEP_ALIVE_SECONDS * 1000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
