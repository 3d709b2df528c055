// The golden requests against a live server: which there are, what must come of them, and what
// came.

import { readdirSync, readFileSync } from 'node:fs'
import { Connection } from './connection.ts'

/** What the server must have understood of a request. */
export interface Understood {
  readonly method: string
  readonly target: string
  readonly version: string
  readonly fields: readonly (readonly [string, string])[]
  readonly body: string
  readonly trailers: readonly (readonly [string, string])[]
  readonly keepAlive: boolean
}

export interface Case {
  readonly name: string
  readonly bytes: Buffer
  readonly requests: readonly Understood[]
  /** Status of the refusal after them; without one every request is served. */
  readonly status?: number
  readonly settings?: Readonly<Record<string, unknown>>
}

/** What a client has seen. */
export interface Outcome {
  readonly requests: readonly Understood[]
  readonly status?: number
  readonly closed: boolean
  readonly rest: string
}

/**
 * An application that reports what it parsed, in ASCII, once the body is complete.
 */
export const ECHO = `const http = require('node:http')
const pairs = (raw) => raw.flatMap((name, at) => (at % 2 ? [] : [[name, raw[at + 1]]]))
const escaped = (text) =>
  text.replace(/[^ -~]/g, (char) => '\\\\u' + char.charCodeAt(0).toString(16).padStart(4, '0'))
const report = (req, body) => escaped(JSON.stringify({
  method: req.method,
  target: req.originalUrl ?? req.url,
  version: req.httpVersion,
  fields: pairs(req.rawHeaders),
  body,
  trailers: pairs(req.rawTrailers),
}))
const handle = (req, res) => {
  const pieces = []
  req.on('data', (piece) => pieces.push(piece))
  req.on('end', () => {
    const text = report(req, Buffer.concat(pieces).toString('latin1'))
    // A response without a body reports in a field instead.
    res.setHeader('X-Report', req.method === 'HEAD' ? text : '')
    res.setHeader('Content-Length', text.length)
    res.end(text)
  })
}
const server = http.createServer(handle)
server.on('checkExpectation', handle)
server.on('connect', (req, socket) => {
  const text = report(req, '')
  const head = 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: '
  socket.end(head + text.length + '\\r\\n\\r\\n' + text)
})
module.exports = server
`

export function cases(): Case[] {
  return (['valid', 'invalid'] as const).flatMap((kind) => {
    const folder = new URL(`../golden/requests/${kind}/`, import.meta.url)
    const files = readdirSync(folder).filter((file) => file.endsWith('.http'))
    return files.map((file) => ({
      ...JSON.parse(readFileSync(new URL(file.replace('.http', '.json'), folder), 'utf8')),
      name: file.replace('.http', ''),
      bytes: readFileSync(new URL(file, folder)),
    }))
  })
}

/** What a server that does everything right shows. */
export function expected({ requests, status }: Case): Outcome {
  const closed = status !== undefined || requests.at(-1)?.keepAlive === false
  return { requests, ...(status === undefined ? {} : { status }), closed, rest: '' }
}

/** Sends a case in pieces and returns the outcome, with as many responses as expected. */
export async function play(port: number, each: Case, pieces: readonly Buffer[]): Promise<Outcome> {
  const connection = new Connection(port)
  try {
    const sent = connection.sendPieces(pieces)
    const requests: Understood[] = []
    let status: number | undefined
    const due = each.requests.length + (each.status === undefined ? 0 : 1)
    let closes = false
    for (let count = 0; count < due && status === undefined && !closes; count += 1) {
      const toHead = each.requests[count]?.method === 'HEAD'
      const answer = await connection.finalAnswer(toHead)
      closes = answer.fields.connection === 'close'
      if (answer.status === 200) {
        const report = JSON.parse(toHead ? (answer.fields['x-report'] ?? '') : answer.body)
        requests.push({ ...report, keepAlive: !closes })
      } else status = answer.status
    }
    await sent
    // A server that keeps the connection closes it when the client does, and sends nothing more.
    if (!closes) connection.halfClose()
    const rest = await connection.end()
    return { requests, ...(status === undefined ? {} : { status }), closed: closes, rest }
  } finally {
    connection.destroy()
  }
}

/** The flags that set a case's settings. */
export function flags(settings: Case['settings'] = {}): string[] {
  return Object.entries(settings).flatMap(([name, value]) => {
    const flag = `--${name.replaceAll('_', '-')}`
    return value === true ? [flag] : [flag, String(value)]
  })
}

export function singleBytes(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.of(byte))
}

export function cut(bytes: Buffer, at: number): Buffer[] {
  return [bytes.subarray(0, at), bytes.subarray(at)]
}
