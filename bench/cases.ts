// What is measured: one row a case. A new row is one entry here and, if it is a new application, one in apps/.

/**
 * What serves an application: node:http alone, one of our engines, the same program on Bun, or (for one case) a C
 * program without HTTP.
 */
export type EngineName = 'floor' | 'plain' | 'native' | 'node' | 'bun'

export interface Case {
  readonly title: string
  /** The module in apps/ that holds the application. */
  readonly app: string
  readonly engines: readonly EngineName[]
  /** The case whose `plain` server is the measure; the case itself unless said. */
  readonly against?: CaseName
  /** The load is a POST of so many bytes of JSON, instead of a GET. */
  readonly jsonBytes?: number
  /** Its messages, where they are no requests: bench/native/sockets.c sends them. */
  readonly messages?: 'ws' | 'socket.io'
}

export type CaseName =
  | 'floor'
  | 'exchange'
  | 'req-res'
  | 'express'
  | 'express-json'
  | 'koa'
  | 'fastify'
  | 'hono'
  | 'ws'
  | 'socket-io'

const OURS: readonly EngineName[] = ['plain', 'native', 'node']
const ALL: readonly EngineName[] = [...OURS, 'bun']

export const CASES: Readonly<Record<CaseName, Case>> = {
  floor: {
    title: 'epoll, recv, send of fixed bytes',
    app: 'floor',
    engines: ['floor'],
    against: 'req-res',
  },
  exchange: {
    title: "the engine's own interface",
    app: 'exchange',
    engines: ['native'],
    against: 'req-res',
  },
  'req-res': { title: '(req, res)', app: 'req-res', engines: ALL },
  express: { title: 'Express', app: 'express', engines: ALL },
  'express-json': {
    title: 'Express, express.json(), POST of 1 KB',
    app: 'express',
    engines: ALL,
    jsonBytes: 1024,
  },
  koa: { title: 'Koa', app: 'koa', engines: ALL },
  fastify: { title: 'Fastify', app: 'fastify', engines: ALL },
  hono: { title: 'Hono (plain: @hono/node-server)', app: 'hono', engines: OURS },
  ws: { title: 'ws, an echo', app: 'ws', engines: OURS, messages: 'ws' },
  'socket-io': {
    title: 'Socket.IO, an echo over WebSocket',
    app: 'socket-io',
    engines: OURS,
    messages: 'socket.io',
  },
}

/** A server to be measured: a case on an engine. */
export interface Subject {
  readonly name: CaseName
  readonly engine: EngineName
}

export function subjectKey({ name, engine }: Subject): string {
  return `${name}/${engine}`
}

/** The server that the figures of a case are divided by. */
export function baselineOf(name: CaseName): Subject {
  return { name: CASES[name].against ?? name, engine: 'plain' }
}

/** The servers that the chosen cases and engines need, each with its measure, none twice. */
export function chooseSubjects(
  names: readonly CaseName[],
  engines: readonly EngineName[],
): Subject[] {
  const chosen = new Map<string, Subject>()
  const add = (subject: Subject) => chosen.set(subjectKey(subject), subject)
  for (const name of names) {
    add(baselineOf(name))
    for (const engine of CASES[name].engines) {
      if (engine === 'floor' || engines.includes(engine)) add({ name, engine })
    }
  }
  return [...chosen.values()]
}
