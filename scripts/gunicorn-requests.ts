// Sends Gunicorn's own collection of valid and invalid requests to both engines. Each engine must
// understand a request as Gunicorn does, unless the lists below give a reason for the difference.
// Usage: `tsx scripts/gunicorn-requests.ts DIRECTORY`, with Gunicorn's unpacked source package
// (`pip download gunicorn==27.0.1 --no-binary :all: --no-deps`). Run it by hand: the requests
// belong to Gunicorn, so the repository does not contain them.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { ENGINES, Program, serveArgs } from '../__test__/process/program.ts'
import { Connection, parallel } from '../__test__/wire/connection.ts'
import { ECHO, flags } from '../__test__/wire/requests.ts'

/** A request as a server parsed it. The names of fields are in upper case. */
interface ParsedRequest {
  readonly method: string
  readonly target: string
  readonly version: string
  readonly fields: readonly (readonly [string, string])[]
  readonly body: string
  readonly trailers: readonly (readonly [string, string])[]
}

interface Case {
  readonly name: string
  readonly bytes: Buffer
  /** The requests that the bytes contain; null if the server must refuse them. */
  readonly requests: readonly ParsedRequest[] | null
  /** The settings that the case needs, by Gunicorn's names. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** How the server handled a case. */
interface Outcome {
  /** The requests that reached the application completely. */
  readonly requests: readonly ParsedRequest[]
  /** Status of the error response after them, if there was one. */
  readonly status?: number
}

const KINDS = {
  same: 'served with the same head and body',
  'same but for Host':
    'refused as sent (HTTP/1.1 without Host); with a Host, served with the same head and body',
  refused: 'refused',
  intended: 'different, as intended',
  unexplained: 'DIFFERENT FOR AN UNKNOWN REASON',
} as const

type Kind = keyof typeof KINDS

/** An intended difference: the outcome that some cases must have instead. */
interface IntendedDifference {
  readonly why: string
  readonly names: readonly string[]
  /**
   * Status of the error response, or `served` if the server must accept the request. If absent, the
   * connection closes without a response.
   */
  readonly status?: number | 'served'
}

type EngineName = (typeof ENGINES)[number]

/** Intended differences of both engines. docs/http.md describes them. */
const BOTH_ENGINES: readonly IntendedDifference[] = [
  {
    why: 'strip_header_spaces and permit_obsolete_folding are ways to smuggle requests',
    names: ['valid/028', 'valid/compat_obs_fold', 'valid/compat_obs_fold_huge'],
    status: 400,
  },
  {
    why: 'transfer codings other than a single chunked are not decoded',
    names: [
      ...['valid/025', 'valid/025_line', 'valid/029', 'valid/030'],
      ...['valid/rfc9112_smuggle_gzip_chunked_01', 'valid/rfc9112_smuggle_te_identity_chunked_01'],
    ],
    status: 501,
  },
  {
    why: 'limit_request_field_size 0 means no limit, as Gunicorn documents; its code uses 8190',
    names: ['invalid/limit_header_default_01'],
    status: 'served',
  },
  {
    why: 'user information in a target is refused (RFC 9110 section 4.2.4)',
    names: ['valid/rfc9112_target_absolute_userinfo_01'],
    status: 400,
  },
]

const NATIVE: readonly IntendedDifference[] = [
  ...BOTH_ENGINES,
  {
    why: 'the body is one byte shorter than Content-Length, so the request is incomplete',
    names: ['valid/099'],
  },
]

const NODE: readonly IntendedDifference[] = [
  ...BOTH_ENGINES,
  {
    why: 'the PROXY protocol is not available on node:http',
    names: ['valid/pp_01', 'valid/pp_02', 'valid/pp_04', 'valid/pp_05'],
    status: 400,
  },
  {
    why: "Node's parser accepts only the methods that it knows",
    names: ['valid/031', 'valid/031compat', 'valid/031compat2'],
    status: 400,
  },
  { why: 'a space in a chunk extension is refused', names: ['valid/013'], status: 400 },
  {
    why: 'bytes after the last request of a connection are an error, and its response is lost',
    names: ['valid/019', 'valid/021'],
    status: 400,
  },
  { why: 'the body is one byte shorter than Content-Length', names: ['valid/099'], status: 400 },
  {
    why: "Node's parser accepts it",
    names: [...['invalid/rfc9110_trailer_forbidden_host_01', 'invalid/rfc9112_leading_crlf_02']],
    status: 'served',
  },
]

const INTENDED_DIFFERENCES: Readonly<Record<EngineName, readonly IntendedDifference[]>> = {
  native: NATIVE,
  node: NODE,
}

let unexplained = 0

/** Settings that the server refuses to start with; their cases run without them. */
const REFUSED_SETTINGS = ['permit_obsolete_folding', 'strip_header_spaces']

const CONCURRENT_CASES = 20

/** Reads the cases with the Python of Gunicorn's own tests. */
function readCases(from: string): Case[] {
  const script = fileURLToPath(new URL('gunicorn-requests.py', import.meta.url))
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
  const text = execFileSync('python3', [script, from], { env, maxBuffer: 2 ** 26 }).toString()
  const cases = JSON.parse(text) as (Omit<Case, 'bytes'> & { bytes: string })[]
  return cases.map((each) => ({ ...each, bytes: Buffer.from(each.bytes, 'base64') }))
}

async function compare(engine: EngineName): Promise<void> {
  const servers = new Servers(engine)
  const lines: string[] = []
  const counts: Record<string, number> = {}
  await parallel(allCases, CONCURRENT_CASES, async (each) => {
    const port = await servers.portOf(each.settings)
    const [kind, line] = await judge(engine, each, port)
    const title = `${each.requests === null ? 'invalid' : 'valid'}, ${KINDS[kind]}`
    counts[title] = (counts[title] ?? 0) + 1
    if (kind === 'unexplained') unexplained += 1
    if (line !== undefined) lines.push(`  ${each.name}: ${KINDS[kind]}: ${line}`)
  })
  await servers.stop()
  console.log(`${engine}:`)
  for (const [kind, count] of Object.entries(counts).sort()) console.log(`${count} ${kind}`)
  for (const line of lines.sort()) console.log(line)
}

/**
 * Plays a case and classifies its outcome. Gunicorn accepts HTTP/1.1 without Host; such a case must
 * be refused as sent, and is played again with the field.
 */
async function judge(engine: EngineName, each: Case, port: number): Promise<[Kind, string?]> {
  const outcome = await play(port, each)
  if (each.requests === null) {
    if (outcome.requests.length === 0) return ['refused']
    return findReason(engine, each, outcome)
  }
  if (isDeepStrictEqual(outcome, { requests: each.requests })) return ['same']
  const hosted = withHost(each)
  if (hosted === undefined) return findReason(engine, each, outcome)
  // The server refuses the first request of HTTP/1.1 without Host, after serving those before it.
  if (outcome.status === undefined) return ['unexplained', summarize(outcome)]
  const again = await play(port, hosted)
  if (isDeepStrictEqual(again, { requests: hosted.requests })) return ['same but for Host']
  return findReason(engine, each, again)
}

function findReason(engine: EngineName, { name }: Case, outcome: Outcome): [Kind, string] {
  const reason = INTENDED_DIFFERENCES[engine].find(({ names }) => names.includes(name))
  if (reason === undefined) return ['unexplained', summarize(outcome)]
  const { status, why } = reason
  if (status !== 'served' && status !== outcome.status) return ['unexplained', summarize(outcome)]
  if (status === 'served' && outcome.requests.length === 0)
    return ['unexplained', summarize(outcome)]
  return ['intended', `${status ?? 'no response'}, ${why}`]
}

function summarize(outcome: Outcome): string {
  return JSON.stringify(outcome).slice(0, 200)
}

/** Adds Host to each request of HTTP/1.1 without it; undefined when all requests have one. */
function withHost(each: Case): Case | undefined {
  let text = each.bytes.toString('latin1')
  const requests = each.requests?.map((request) => {
    const { target, version, fields } = request
    if (version === '1.0' || fields.some(([name]) => name === 'HOST')) return request
    const line = ` ${target} HTTP/1.1\r\n`
    text = text.replace(line, () => `${line}Host: x\r\n`)
    return { ...request, fields: [['HOST', 'x'], ...fields] as ParsedRequest['fields'] }
  })
  if (requests === undefined || text.length === each.bytes.length) return undefined
  return { ...each, bytes: Buffer.from(text, 'latin1'), requests }
}

/** Sends a case and half-closes the connection, as Gunicorn's tests do; reads all responses. */
async function play(port: number, { bytes, requests: due }: Case): Promise<Outcome> {
  const connection = new Connection(port).send(bytes).halfClose()
  const requests: ParsedRequest[] = []
  try {
    for (;;) {
      const toHead = due?.[requests.length]?.method === 'HEAD'
      const response = await connection.finalAnswer(toHead).catch(() => undefined)
      if (response === undefined) return { requests }
      if (response.status !== 200) return { requests, status: response.status }
      const report = toHead ? (response.fields['x-report'] ?? '') : response.body
      const parsed = JSON.parse(report) as ParsedRequest
      const [fields, trailers] = [parsed.fields, parsed.trailers].map(withUpperCaseNames)
      requests.push({ ...parsed, fields: fields ?? [], trailers: trailers ?? [] })
    }
  } finally {
    connection.destroy()
  }
}

function withUpperCaseNames(fields: ParsedRequest['fields']): [string, string][] {
  return fields.map(([name, value]) => [name.toUpperCase(), value])
}

/** Starts one server for each set of settings, and reuses it. */
class Servers {
  readonly #engine: EngineName
  readonly #started = new Map<string, Promise<Program>>()
  readonly #directory = mkdtempSync(join(tmpdir(), 'monoceros-gunicorn-'))

  constructor(engine: EngineName) {
    this.#engine = engine
    writeFileSync(join(this.#directory, 'app.cjs'), ECHO)
  }

  async portOf(settings: Case['settings']): Promise<number> {
    const taken = Object.entries(settings).filter(([name]) => !REFUSED_SETTINGS.includes(name))
    const args = serveArgs(this.#engine, ...flags(Object.fromEntries(taken)))
    const key = args.join(' ')
    const started = this.#started.get(key) ?? new Program(this.#directory, { args }).ready(1)
    this.#started.set(key, started)
    return (await started).port
  }

  async stop(): Promise<void> {
    for (const started of this.#started.values()) {
      const program = await started
      program.signal('SIGTERM')
      await program.exited
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

const [directory] = process.argv.slice(2)
if (directory === undefined) {
  console.error('missing argument: the directory of an unpacked source package of Gunicorn')
  process.exit(2)
}
const allCases = readCases(directory)
for (const engine of ENGINES) await compare(engine)
process.exit(unexplained === 0 ? 0 : 1)
