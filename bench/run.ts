// `npm run bench`: starts every server once, warms it up, loads all in turn for some rounds, and
// prints the processor time of a request on each, as a ratio to node:http in the same round.

import { build } from '../scripts/build.ts'
import { isMain } from '../scripts/command.ts'
import { baselineOf, CASES, chooseSubjects, type Subject, subjectKey } from './cases.ts'
import { compileAll, compileCrate } from './compiled.ts'
import { engineConfig } from './config.ts'
import { type Figures, type Sample, summarize } from './figures.ts'
import { chooseGenerator, drive, type Generator, loadObstacle } from './load.ts'
import { type MemoryRow, measureMemory } from './memory.ts'
import { findNode, type NodeBinary } from './nodes.ts'
import { type BenchOptions, parseOptions } from './options.ts'
import { machineObstacle, processorTimeUs } from './processors.ts'
import { writeReport } from './report.ts'
import { compareRivals } from './rivals/compare.ts'
import { makeIdentity } from './secure.ts'
import { type Server, startServer } from './server.ts'

const FIRST_PORT = 19_500
const WARM_UP = { connections: 64, seconds: 2 }

export interface Result {
  readonly node: NodeBinary
  readonly figures: readonly Figures[]
  readonly memory: readonly MemoryRow[]
}

async function benchNode(
  node: NodeBinary,
  options: BenchOptions,
  generator: Generator,
): Promise<Result> {
  const subjects = chooseSubjects(options.cases, options.engines)
  const samples = await withServers(subjects, node, (servers) =>
    rounds(servers, options, generator),
  )
  const memory = options.memory ? await measureMemory(node, options.engines) : []
  return { node, figures: summarize(samples, baselineOf), memory }
}

async function withServers<T>(
  subjects: readonly Subject[],
  node: NodeBinary,
  use: (servers: readonly Server[]) => Promise<T>,
): Promise<T> {
  const servers: Server[] = []
  try {
    const config = await engineConfig(subjects)
    const isSecure = subjects.some(({ name }) => CASES[name].secure === true)
    const identity = isSecure ? makeIdentity() : null
    for (const subject of subjects) {
      servers.push(
        await startServer(subject, FIRST_PORT + servers.length, { node, config, identity }),
      )
    }
    return await use(servers)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function rounds(
  servers: readonly Server[],
  { connections: counts, rounds, seconds, close }: BenchOptions,
  generator: Generator,
): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const { subject, port } of servers) {
    const { mostConnections = WARM_UP.connections } = CASES[subject.name]
    await drive(generator, {
      ...{ port, close: false, ...WARM_UP, ...loadOf(subject) },
      connections: Math.min(WARM_UP.connections, mostConnections),
    })
  }
  for (const connections of counts) {
    for (let round = 0; round < rounds; round++) {
      for (const { subject, port, pid } of servers) {
        if (connections > (CASES[subject.name].mostConnections ?? Infinity)) continue
        const before = processorTimeUs(pid)
        const load = { port, connections, seconds, close, ...loadOf(subject) }
        const seen = await drive(generator, load)
        const us = (processorTimeUs(pid) - before) / seen.requests
        samples.push({ subject, connections, round, us, seen })
        const cost = `${us.toFixed(2).padStart(7)} us`
        const errors = seen.errors > 0 ? `  ${seen.errors} ERRORS` : ''
        console.log(
          `${`${connections}`.padStart(4)} #${round + 1}  ${cost}  ${subjectKey(subject)}${errors}`,
        )
      }
    }
  }
  return samples
}

function loadOf(subject: Subject) {
  const { path = '/', jsonBytes, messages, secure, http2, close } = CASES[subject.name]
  const closes = close === true ? { close } : {}
  return { path, jsonBytes, messages, ...spokenOf({ secure, http2 }), ...closes }
}

/** The given options, without undefined ones. */
function spokenOf({ secure, http2 }: { secure: boolean | undefined; http2: boolean | undefined }) {
  return { secure: secure === true, http2: http2 === true }
}

async function bench(options: BenchOptions): Promise<void> {
  const obstacle = machineObstacle()
  if (obstacle !== undefined) throw new Error(obstacle)
  if (options.build && !(await build('release'))) throw new Error('the build failed')
  await compileAll()
  if (options.cases.includes('guard')) await compileCrate()
  const generator = await chooseGenerator(options.load)
  const missing = await loadObstacle(
    generator,
    options.cases.map((name) => CASES[name]),
  )
  if (missing !== undefined) throw new Error(missing)
  const results: Result[] = []
  for (const wanted of options.nodes) {
    results.push(await benchNode(await findNode(wanted), options, generator))
  }
  writeReport(results, options, generator)
}

if (isMain(import.meta.url)) {
  const args = process.argv.slice(2)
  const hasRivals = args.includes('--rivals') && !args.includes('--help')
  const options = hasRivals ? undefined : parseOptions(args)
  if (options === undefined) {
    await compareRivals(args)
  } else if (typeof options === 'string') {
    console.log(options)
    process.exitCode = options.startsWith('--') ? 2 : 0
  } else {
    await bench(options)
  }
}
