// What is measured, one row per case. A new row is one entry here and, for a new application, one
// file in apps/.

/**
 * What serves an application: node:http alone, one of our engines, or the same program on Bun. Some
 * cases have servers of their own: a C program without HTTP (`floor`), the engine without Node
 * (`crate`), and hyper in its place (`hyper`).
 */
export type EngineName = 'floor' | 'crate' | 'hyper' | 'plain' | 'native' | 'node' | 'bun'

/** The protocol of a case. */
export interface Spoken {
  /** TLS. */
  readonly secure?: boolean
  /** HTTP/2, sent by h2load with `STREAMS` requests in flight per connection. */
  readonly http2?: boolean
}

export interface Case extends Spoken {
  readonly title: string
  /** The module in apps/ that holds the application. */
  readonly app: string
  readonly engines: readonly EngineName[]
  /** The baseline; by default `plain` of the same case. */
  readonly against?: Subject
  /** The requested path; `/` by default. */
  readonly path?: string
  /** Sends a POST with this number of bytes of JSON instead of a GET. */
  readonly jsonBytes?: number
  /** Opens a new connection for each request, whatever the options are. */
  readonly close?: boolean
  /** With more connections than these it is left out. */
  readonly mostConnections?: number
  /** Settings beside the defaults. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Its messages, where they are no requests: bench/native/sockets.c sends them. */
  readonly messages?: 'ws' | 'socket.io'
}

export type CaseName =
  | 'floor'
  | 'guard'
  | 'exchange'
  | 'req-res'
  | 'access-log'
  | 'post'
  | 'upload'
  | 'download'
  | 'download-whole'
  | 'express'
  | 'express-json'
  | 'koa'
  | 'fastify'
  | 'hono'
  | 'tls'
  | 'tls-close'
  | 'h2'
  | 'h2-tls'
  | 'ws'
  | 'socket-io'

const OURS: readonly EngineName[] = ['plain', 'native', 'node']
const NATIVE: readonly EngineName[] = ['plain', 'native']
const ALL: readonly EngineName[] = [...OURS, 'bun']
/** They come with their case, whatever engines are chosen. */
const WITH_THE_CASE: readonly EngineName[] = ['floor', 'crate', 'hyper']
const REQ_RES: Subject = { name: 'req-res', engine: 'plain' }
/** Requests in flight per HTTP/2 connection. */
export const STREAMS = 100
const LARGE = 16 * 2 ** 20

export const CASES: Readonly<Record<CaseName, Case>> = {
  floor: {
    title: 'epoll, recv, send of fixed bytes',
    app: 'floor',
    engines: ['floor'],
    against: REQ_RES,
  },
  guard: {
    title: 'the engine without Node, against hyper',
    app: 'engine',
    engines: ['hyper', 'crate'],
    against: { name: 'guard', engine: 'hyper' },
  },
  exchange: {
    title: "the engine's own interface",
    app: 'exchange',
    engines: ['native'],
    against: REQ_RES,
  },
  'req-res': { title: '(req, res)', app: 'req-res', engines: ALL },
  'access-log': {
    title: '(req, res) with the access log, against it without',
    app: 'req-res',
    engines: ['native', 'node'],
    against: { name: 'req-res', engine: 'native' },
    settings: { accesslog: '/dev/null' },
  },
  post: { title: '(req, res), POST of 1 KB', app: 'bodies', engines: ALL, jsonBytes: 1024 },
  upload: {
    title: '(req, res), upload of 16 MiB',
    app: 'bodies',
    engines: ALL,
    jsonBytes: LARGE,
    mostConnections: 8,
  },
  download: {
    title: '(req, res), download of 16 MiB as a stream',
    app: 'bodies',
    engines: ALL,
    path: '/large',
    mostConnections: 8,
  },
  'download-whole': {
    title: '(req, res), download of 16 MiB from one Buffer',
    app: 'bodies',
    engines: ALL,
    path: '/whole',
    mostConnections: 8,
  },
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
  tls: {
    title: '(req, res) over TLS (plain: node:https)',
    app: 'req-res',
    engines: OURS,
    secure: true,
  },
  'tls-close': {
    title: '(req, res) over TLS, a handshake for each request (plain: node:https)',
    app: 'req-res',
    engines: OURS,
    secure: true,
    close: true,
  },
  h2: {
    title: `(req, res) over HTTP/2 in clear text, ${STREAMS} streams (plain: node:http2)`,
    app: 'req-res',
    engines: NATIVE,
    http2: true,
    mostConnections: 8,
  },
  'h2-tls': {
    title: `(req, res) over HTTP/2 with TLS, ${STREAMS} streams a connection (plain: node:http2)`,
    app: 'req-res',
    engines: NATIVE,
    http2: true,
    secure: true,
    mostConnections: 8,
  },
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
  return CASES[name].against ?? { name, engine: 'plain' }
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
      if (WITH_THE_CASE.includes(engine) || engines.includes(engine)) add({ name, engine })
    }
  }
  return [...chosen.values()]
}
