// The golden requests, which the engine's own tests replay too, against the product: at once, byte
// by byte, and cut in two at every place. The responses must be the same. docs/http.md lists the
// requests that node:http reads differently; the test reads that list.

import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { ENGINES, serveArgs, startProgram } from '../process/program.ts'
import { parallel, sleep } from './connection.ts'
import { type Case, cases, cut, ECHO, expected, flags, play, singleBytes } from './requests.ts'

const AT_ONCE = 100
const ALL = cases()
/** Longer ones are many of the same bytes. */
const MAX_CUT_BYTES = 320
/** Some of what node:http cannot do is to answer at all. */
const LISTED_MS = 5_000

const PAGE = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8')
const LIST = PAGE.slice(PAGE.indexOf('## The engine on node:http'))
/** The names at the end of each item of the list. */
const LISTED = new Set(
  LIST.split(/^- /m).flatMap((item) => {
    const [, names = ''] = item.split(/Golden\s+requests:/)
    return [...names.matchAll(/`([a-z0-9.-]+)`/g)].map(([, name = '']) => name)
  }),
)

test('the list of node:http deviations names golden requests only', (t) => {
  const names = new Set(ALL.map(({ name }) => name))
  t.true(LISTED.size > 10)
  t.deepEqual(
    [...LISTED].filter((name) => !names.has(name)),
    [],
  )
})

for (const engine of ENGINES) {
  test.serial(
    `${engine}: golden requests are read as expected, however they are cut into packets`,
    async (t) => {
      t.true(ALL.length >= 185)
      const portOf = servers(t, engine)
      const differing: string[] = []
      const check = async (each: Case, pieces: readonly Buffer[]) => {
        const outcome = await play(await portOf(each), each, pieces).catch(String)
        if (isDeepStrictEqual(outcome, expected(each))) return
        differing.push(
          `${each.name} in ${pieces.map(({ length }) => length)}: ${describe(outcome)}`,
        )
      }
      const due = ALL.filter(({ name }) => engine === 'native' || !LISTED.has(name))
      const short = due.filter(({ bytes }) => bytes.length < MAX_CUT_BYTES)
      await parallel(due, AT_ONCE, (each) => check(each, [each.bytes]))
      await parallel(short, AT_ONCE, (each) => check(each, singleBytes(each.bytes)))
      const cuts = short.flatMap((each) =>
        Array.from({ length: each.bytes.length - 1 }, (_, at) => ({ each, at: at + 1 })),
      )
      t.true(cuts.length > 6_000)
      await parallel(cuts, AT_ONCE, ({ each, at }) => check(each, cut(each.bytes, at)))
      t.deepEqual(differing, [])
    },
  )

  if (engine === 'node') {
    test.serial(
      'node: golden requests that node:http reads differently do not stop it from serving',
      async (t) => {
        const portOf = servers(t, engine)
        const same: string[] = []
        const listed = ALL.filter(({ name }) => LISTED.has(name))
        await parallel(listed, AT_ONCE, async (each) => {
          const port = await portOf(each)
          const outcome = await Promise.race([
            play(port, each, [each.bytes]).catch(String),
            sleep(LISTED_MS),
          ])
          if (isDeepStrictEqual(outcome, expected(each))) same.push(each.name)
        })
        // Which they are depends on Node's version; that none differs any more would be a wrong
        // table.
        t.true(same.length < listed.length / 2, `as on the native engine: ${same}`)
        const [get] = ALL.filter(({ name }) => name === 'get')
        if (get === undefined) return t.fail('no golden request is called get')
        t.deepEqual(await play(await portOf(get), get, [get.bytes]), expected(get))
      },
    )
  }
}

/** One server for each set of settings. */
function servers(t: ExecutionContext, engine: string): (each: Case) => Promise<number> {
  const ports = new Map<string, Promise<number>>()
  return ({ settings }) => {
    const key = JSON.stringify(settings ?? {})
    const started = ports.get(key)
    if (started !== undefined) return started
    const args = serveArgs(engine, ...flags(settings))
    const program = startProgram(t, { files: { 'app.cjs': ECHO }, args })
    const port = program.ready(1).then(() => program.port)
    ports.set(key, port)
    return port
  }
}

function describe(outcome: unknown): string {
  return JSON.stringify(outcome).slice(0, 300)
}
