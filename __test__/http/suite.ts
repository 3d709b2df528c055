/**
 * The conformance suite: each scenario runs on node:http, which is the oracle, and on the engine under test; both have
 * to give the same.
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

/** Serves a server that does not listen; `close` ends its connections. */
export type Start = (server: http.Server) => Promise<Running>

export interface Running {
  readonly port: number
  close(): void
}

/** What a scenario has to work with. */
export interface Stage {
  /** Serves a listener, or a server that the scenario has made, until the scenario ends. */
  serve(program: http.RequestListener | http.Server): Promise<number>
}

/** Returns what has to be equal on both. */
export type Scenario = (stage: Stage) => Promise<unknown>

export type Scenarios = Readonly<Record<string, Scenario>>

const ALL: Scenarios = {
  ...heads,
  ...bodies,
  ...refusals,
  ...clientErrors,
  ...lives,
  ...objects,
  ...servers,
  ...expectations,
  ...sockets,
  ...seldom,
  ...streams,
  ...flows,
  ...upgrades,
}

/** The timeout that answers name in their Keep-Alive field; the engines are started with it. */
export const KEEP_ALIVE_SECONDS = 75

/** Declares one test for each scenario; `skip` names those that an engine cannot pass, with the reason. */
export function conformance(
  test: TestFn,
  start: Start,
  skip: Readonly<Record<string, string>> = {},
): void {
  for (const [title, scenario] of Object.entries(ALL)) {
    if (skip[title] !== undefined) {
      test.skip(`${title} (${skip[title]})`, () => {})
      continue
    }
    test.serial(title, async (t) => {
      const expected = await play(scenario, startOracle)
      t.deepEqual(await play(scenario, start), expected)
    })
  }
}

async function play(scenario: Scenario, start: Start): Promise<unknown> {
  const running: Running[] = []
  try {
    return await scenario({
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

/** node:http itself. */
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
