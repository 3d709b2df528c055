/**
 * The access log of the TypeScript engine (the native engine writes its own, by the same rules): Gunicorn's atoms, a
 * format compiled once into a list of functions, lines collected and written off the event loop's hot path.
 */

import { openSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { processId } from '../process/system.ts'
import { formatAccessTime } from './time.ts'

/** What one finished exchange tells. */
export interface AccessEntry {
  readonly remoteAddress: string | undefined
  readonly method: string
  /** As the client wrote it, with the query. */
  readonly url: string
  /** `HTTP/1.1`. */
  readonly protocol: string
  readonly status: number
  readonly bodyBytes: number
  readonly durationUs: number
  /** A field of the request by its lower-case name. */
  request(name: string): string | undefined
  /** A field of the response by its lower-case name. */
  response(name: string): string | undefined
}

export interface AccessLog {
  log(entry: AccessEntry): void
  /** Writes what is collected, before an exit. */
  flush(): void
}

type Atom = (entry: AccessEntry) => string

const MISSING = '-'

/** Every letter that a format may name. Values that come from outside are escaped. */
export const ATOMS: Readonly<Record<string, Atom>> = {
  h: (entry) => quoted(entry.remoteAddress),
  l: () => MISSING,
  u: (entry) => quoted(basicUser(entry.request('authorization'))),
  t: () => `[${formatAccessTime()}]`,
  r: (entry) => quoted(`${entry.method} ${entry.url} ${entry.protocol}`),
  m: (entry) => quoted(entry.method),
  U: (entry) => quoted(pathOf(entry.url)),
  q: (entry) => queryOf(entry.url),
  H: (entry) => entry.protocol,
  s: (entry) => String(entry.status),
  b: (entry) => String(entry.bodyBytes),
  B: (entry) => String(entry.bodyBytes),
  f: (entry) => quoted(entry.request('referer')),
  a: (entry) => quoted(entry.request('user-agent')),
  T: (entry) => String(Math.floor(entry.durationUs / 1_000_000)),
  M: (entry) => String(Math.floor(entry.durationUs / 1_000)),
  D: (entry) => String(Math.floor(entry.durationUs)),
  L: (entry) => (entry.durationUs / 1_000_000).toFixed(6),
  p: () => `<${processId()}>`,
}

/** Turns a format like `%(h)s "%(r)s" %(s)s` into a function; an unknown atom gives `-`. */
export function compileAccessFormat(format: string): Atom {
  const parts: Atom[] = []
  let end = 0
  for (const match of format.matchAll(/%\(([^)]*)\)s|%%/g)) {
    const literal = format.slice(end, match.index)
    if (literal !== '') parts.push(() => literal)
    parts.push(match[1] === undefined ? () => '%' : atom(match[1]))
    end = match.index + match[0].length
  }
  const rest = format.slice(end)
  if (rest !== '') parts.push(() => rest)
  return (entry) => parts.map((part) => part(entry)).join('')
}

/** Opens the access log at a path or at standard output (`-`). */
export function openAccessLog(target: string, format: string): AccessLog {
  const line = compileAccessFormat(format)
  const boom = openBoom(target)
  return {
    log: (entry) => void boom.write(`${line(entry)}\n`),
    flush: () => {
      try {
        boom.flushSync()
      } catch {
        // Not open yet or already closed: then nothing of ours waits in it.
      }
    },
  }
}

function atom(name: string): Atom {
  const known = ATOMS[name]
  if (known !== undefined && Object.hasOwn(ATOMS, name)) return known
  const field = /^\{([^}]+)\}([ioe])$/.exec(name)
  if (field === null) return () => MISSING
  const key = (field[1] ?? '').toLowerCase()
  if (field[2] === 'i') return (entry) => quoted(entry.request(key))
  if (field[2] === 'o') return (entry) => quoted(entry.response(key))
  const value = environment(field[1] ?? '')
  return () => value
}

// Read once: the environment of a worker does not change by itself.
function environment(name: string): string {
  const entry = Object.entries(process.env).find(
    ([key]) => key.toLowerCase() === name.toLowerCase(),
  )
  return quoted(entry?.[1])
}

// A quote, a backslash or a control character from a client must not be able to end a field or a line.
const UNSAFE = /["\\\p{Cc}]/gu

function quoted(value: string | undefined): string {
  if (value === undefined || value === '') return MISSING
  return value.replace(UNSAFE, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}

function pathOf(url: string): string {
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

function queryOf(url: string): string {
  const query = url.indexOf('?')
  return query === -1 ? '' : quoted(url.slice(query + 1)).replace(/^-$/, '')
}

function basicUser(authorization: string | undefined): string | undefined {
  const token = /^basic +([a-z0-9+/=_-]+)$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) return undefined
  const [user] = Buffer.from(token, 'base64').toString('utf8').split(':')
  return user
}

const STDOUT_FD = 1
const COLLECT_BYTES = 16_384
const COLLECT_MS = 100
// Beyond this the disk or the reader does not keep up: lines are dropped, not memory.
const MAX_WAITING_BYTES = 8 * 1024 * 1024

function openBoom(target: string): SonicBoom {
  const { SonicBoom } = createRequire(import.meta.url)('sonic-boom') as typeof import('sonic-boom')
  const boom = new SonicBoom({
    fd: target === '-' ? STDOUT_FD : openFile(target),
    minLength: COLLECT_BYTES,
    maxLength: MAX_WAITING_BYTES,
    periodicFlush: COLLECT_MS,
    sync: false,
  })
  // A reader that has gone must not end a worker that still serves.
  boom.on('error', () => {})
  return boom
}

function openFile(path: string): number {
  try {
    return openSync(path, 'a', 0o644)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_FILE', 'accesslog', path, problem).causedBy(cause)
  }
}
