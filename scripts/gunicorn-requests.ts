// `tsx scripts/gunicorn-requests.ts DIRECTORY`: Gunicorn's own collection of valid and invalid requests, in DIRECTORY (its
// unpacked source package: `pip download gunicorn==27.0.1 --no-binary :all: --no-deps`), against both engines. What
// comes to something else must stand in the table below, with its reason. Run by hand: the files are not ours to keep.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { ENGINES, Program, serveArgs } from '../__test__/process/program.ts'
import { Connection, parallel } from '../__test__/wire/connection.ts'
import { ECHO, flags } from '../__test__/wire/requests.ts'

/** What a server must have understood of a request, fields by names in capitals. */
interface Told {
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
  /** Those of a valid case; null of one that must be refused. */
  readonly requests: readonly Told[] | null
  readonly settings: Readonly<Record<string, unknown>>
}

/** What came of it: the requests that reached the application whole, and the status of the refusal behind them. */
interface Outcome {
  readonly requests: readonly Told[]
  readonly status?: number
}

const KINDS = {
  same: 'served with the same head and body',
  'same but for Host':
    'refused as it is (HTTP/1.1 without Host), and with one served with the same head and body',
  refused: 'refused',
  'on purpose': 'other on purpose',
  unexplained: 'OTHER, AND NOBODY KNOWS WHY',
} as const

type Kind = keyof typeof KINDS

/** A difference that is meant: what must come of a case instead. */
interface Reason {
  readonly why: string
  readonly names: readonly string[]
  /** Of the refusal. Without one the connection ends without an answer. */
  readonly status?: number | 'served'
}

type EngineName = (typeof ENGINES)[number]

/** docs/http.md has all of them. */
const BOTH: readonly Reason[] = [
  {
    why: 'strip_header_spaces and permit_obsolete_folding are ways to smuggle requests',
    names: ['valid/028', 'valid/compat_obs_fold', 'valid/compat_obs_fold_huge'],
    status: 400,
  },
  {
    why: 'codings other than a single chunked: nobody decodes them',
    names: [
      ...['valid/025', 'valid/025_line', 'valid/029', 'valid/030'],
      ...['valid/rfc9112_smuggle_gzip_chunked_01', 'valid/rfc9112_smuggle_te_identity_chunked_01'],
    ],
    status: 501,
  },
  {
    why: 'limit_request_field_size 0 is no limit, as the page of Gunicorn says; its code takes 8190',
    names: ['invalid/limit_header_default_01'],
    status: 'served',
  },
  {
    why: 'a user in a target (RFC 9110 section 4.2.4)',
    names: ['valid/rfc9112_target_absolute_userinfo_01'],
    status: 400,
  },
]

const NATIVE: readonly Reason[] = [
  ...BOTH,
  {
    why: 'its body is one byte shorter than its length, and a body cut short is an error, not an end',
    names: ['valid/099'],
  },
]

const NODE: readonly Reason[] = [
  ...BOTH,
  {
    why: 'no PROXY protocol on node:http',
    names: ['valid/pp_01', 'valid/pp_02', 'valid/pp_04', 'valid/pp_05'],
    status: 400,
  },
  {
    why: "methods of node's own list only",
    names: ['valid/031', 'valid/031compat', 'valid/031compat2'],
    status: 400,
  },
  { why: 'no space in a chunk extension', names: ['valid/013'], status: 400 },
  {
    why: 'what follows the last request of a connection is an error, and the answer before it is lost',
    names: ['valid/019', 'valid/021'],
    status: 400,
  },
  { why: 'its body is one byte shorter than its length', names: ['valid/099'], status: 400 },
  {
    why: "node's parser takes it",
    names: [...['invalid/rfc9110_trailer_forbidden_host_01', 'invalid/rfc9112_leading_crlf_02']],
    status: 'served',
  },
]

const REASONS: Readonly<Record<EngineName, readonly Reason[]>> = { native: NATIVE, node: NODE }

let unexplained = 0

/** Settings that are refused by name; their cases run without them. */
const REFUSED = ['permit_obsolete_folding', 'strip_header_spaces']

const AT_ONCE = 20

function read(from: string): Case[] {
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
  await parallel(all, AT_ONCE, async (each) => {
    const port = await servers.portOf(each.settings)
    const [kind, line] = await judge(engine, each, port)
    const title = `${each.requests === null ? 'invalid' : 'valid'}, ${KINDS[kind]}`
    counts[title] = (counts[title] ?? 0) + 1
    if (kind === 'unexplained') unexplained += 1
    if (line !== undefined) lines.push(`  ${each.name}: ${KINDS[kind]}: ${line}`)
  })
  await servers.end()
  console.log(`${engine}:`)
  for (const [kind, count] of Object.entries(counts).sort()) console.log(`${count} ${kind}`)
  for (const line of lines.sort()) console.log(line)
}

/** Says what an outcome is; `withHost` is the case again where Gunicorn does without the field. */
async function judge(engine: EngineName, each: Case, port: number): Promise<[Kind, string?]> {
  const outcome = await play(port, each)
  if (each.requests === null) {
    if (outcome.requests.length === 0) return ['refused']
    return reasoned(engine, each, outcome)
  }
  if (isDeepStrictEqual(outcome, { requests: each.requests })) return ['same']
  const hosted = withHost(each)
  if (hosted === undefined) return reasoned(engine, each, outcome)
  // As sent it must be refused, behind those of its requests that have one or are of HTTP/1.0.
  if (outcome.status === undefined) return ['unexplained', said(outcome)]
  const again = await play(port, hosted)
  if (isDeepStrictEqual(again, { requests: hosted.requests })) return ['same but for Host']
  return reasoned(engine, each, again)
}

function reasoned(engine: EngineName, { name }: Case, outcome: Outcome): [Kind, string] {
  const reason = REASONS[engine].find(({ names }) => names.includes(name))
  if (reason === undefined) return ['unexplained', said(outcome)]
  const { status, why } = reason
  if (status !== 'served' && status !== outcome.status) return ['unexplained', said(outcome)]
  if (status === 'served' && outcome.requests.length === 0) return ['unexplained', said(outcome)]
  return ['on purpose', `${status ?? 'no answer'}, ${why}`]
}

function said(outcome: Outcome): string {
  return JSON.stringify(outcome).slice(0, 200)
}

/** The case with a Host in each request of HTTP/1.1 that has none; undefined when all have one. */
function withHost(each: Case): Case | undefined {
  let text = each.bytes.toString('latin1')
  const requests = each.requests?.map((request) => {
    const { target, version, fields } = request
    if (version === '1.0' || fields.some(([name]) => name === 'HOST')) return request
    const line = ` ${target} HTTP/1.1\r\n`
    text = text.replace(line, () => `${line}Host: x\r\n`)
    return { ...request, fields: [['HOST', 'x'], ...fields] as Told['fields'] }
  })
  if (requests === undefined || text.length === each.bytes.length) return undefined
  return { ...each, bytes: Buffer.from(text, 'latin1'), requests }
}

/** Sends a case and the end behind it, as Gunicorn's own tests do, and reads what there is to read. */
async function play(port: number, { bytes, requests: due }: Case): Promise<Outcome> {
  const connection = new Connection(port).send(bytes).halfClose()
  const requests: Told[] = []
  try {
    for (;;) {
      const toHead = due?.[requests.length]?.method === 'HEAD'
      const answer = await connection.finalAnswer(toHead).catch(() => undefined)
      if (answer === undefined) return { requests }
      if (answer.status !== 200) return { requests, status: answer.status }
      const told = JSON.parse(toHead ? (answer.fields['x-told'] ?? '') : answer.body) as Told
      requests.push({ ...told, fields: capitals(told.fields), trailers: capitals(told.trailers) })
    }
  } finally {
    connection.destroy()
  }
}

function capitals(fields: Told['fields']): [string, string][] {
  return fields.map(([name, value]) => [name.toUpperCase(), value])
}

/** One server for each set of settings. */
class Servers {
  readonly #engine: EngineName
  readonly #started = new Map<string, Promise<Program>>()
  readonly #directory = mkdtempSync(join(tmpdir(), 'monoceros-gunicorn-'))

  constructor(engine: EngineName) {
    this.#engine = engine
    writeFileSync(join(this.#directory, 'app.cjs'), ECHO)
  }

  async portOf(settings: Case['settings']): Promise<number> {
    const taken = Object.entries(settings).filter(([name]) => !REFUSED.includes(name))
    const args = serveArgs(this.#engine, ...flags(Object.fromEntries(taken)))
    const key = args.join(' ')
    const started = this.#started.get(key) ?? new Program(this.#directory, { args }).ready(1)
    this.#started.set(key, started)
    return (await started).port
  }

  async end(): Promise<void> {
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
  console.error('which directory? an unpacked source package of Gunicorn')
  process.exit(2)
}
const all = read(directory)
for (const engine of ENGINES) await compare(engine)
process.exit(unexplained === 0 ? 0 : 1)
