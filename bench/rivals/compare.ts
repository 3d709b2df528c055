// `npm run bench -- --rivals`: other servers and this one with the same response, and a page of
// their processor time, latency, memory, start, reloads and slow clients. `--help` has the options.

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from '../../scripts/build.ts'
import { ROOT } from '../../scripts/command.ts'
import { compileAll } from '../compiled.ts'
import { spread } from '../figures.ts'
import { chooseGenerator } from '../load.ts'
import { findNode } from '../nodes.ts'
import { machineObstacle } from '../processors.ts'
import { installRivals } from './install.ts'
import { type Behavior, type Cost, measureBehavior, measureCosts } from './measure.ts'
import { BASELINE, RIVALS, type Rival } from './table.ts'

export async function compareRivals(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rivals: { type: 'boolean' },
      only: { type: 'string', default: RIVALS.map(({ name }) => name).join() },
      node: { type: 'string', default: '24' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '1,8,64,512' },
      out: { type: 'string' },
      'no-build': { type: 'boolean', default: false },
    },
  })
  const chosen = values.only.split(',')
  const unknown = chosen.find((name) => !RIVALS.some((rival) => rival.name === name))
  if (unknown !== undefined) {
    throw new Error(`--only takes ${RIVALS.map(({ name }) => name).join()}, got "${unknown}"`)
  }
  const connections = values.connections.split(',').map(Number)
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
  if (![...connections, rounds, seconds].every((number) => number > 0)) {
    throw new Error('--connections, --rounds and --seconds take numbers above 0')
  }
  const obstacle = machineObstacle()
  if (obstacle !== undefined) throw new Error(obstacle)
  if ((await chooseGenerator(undefined)) !== 'wrk') {
    throw new Error('this comparison needs wrk (Debian: apt-get install wrk)')
  }
  if (!values['no-build'] && !(await build('release'))) throw new Error('the build failed')
  await compileAll()
  const node = await findNode(values.node)
  const where = await installRivals(node.path)
  const rivals = RIVALS.filter(
    ({ name, needsPython }) =>
      chosen.includes(name) && !(needsPython === true && where.python === undefined),
  )
  const costs = await measureCosts(rivals, where, { connections, rounds, seconds })
  const behaviors: Behavior[] = []
  for (const rival of rivals) {
    console.log(`start, memory, slow clients, reloads: ${rival.name}`)
    behaviors.push(await measureBehavior(rival, where))
  }
  const page = pageOf({ rivals, costs, behaviors, connections, version: node.version })
  console.log(`\n${page}`)
  const out = values.out ?? (chosen.length === RIVALS.length ? PAGE : undefined)
  if (out !== undefined) writeFileSync(out, page)
}

const PAGE = join(ROOT, 'bench/results', `${new Date().toISOString().slice(0, 10)}-rivals.md`)

interface Measured {
  readonly rivals: readonly Rival[]
  readonly costs: readonly Cost[]
  readonly behaviors: readonly Behavior[]
  readonly connections: readonly number[]
  readonly version: string
}

function pageOf(measured: Measured): string {
  const { rivals, connections, version } = measured
  const [cpu] = cpus()
  return `# Other servers, ${new Date().toISOString().slice(0, 10)}

Node ${version}, ${cpus().length} x ${cpu?.model.trim()}. Every server sends the same 13 bytes.
Printed by \`npm run bench -- --rivals\`. uWebSockets.js is missing: no package registry has it.

## Processor time of a request

In microseconds, in all processes of the server, with one worker on a processor of its own. In
brackets: against ${BASELINE} in the same round.

${table(
  ['server', ...connections.map(counted)],
  rivals.map((rival) => [rival.name, ...connections.map((count) => cost(measured, rival, count))]),
)}

## Latency

Median and 99th percentile in microseconds, in the same runs.

${table(
  ['server', ...connections.map(counted)],
  rivals.map((rival) => [
    rival.name,
    ...connections.map((count) => latency(measured, rival, count)),
  ]),
)}

## Processes

Two workers on all processors. *Start* lasts until the first response. *Memory* is that of all
processes after a load. *Slow clients*: 500 clients send their heads byte by byte for 10 seconds;
the column has the ordinary requests beside them that were answered within 2 seconds, and the
longest wait. *Reloads*: failed requests of 16 connections during two reloads. A refused connection
is one of them, and wrk repeats it at once.

${table(
  ['server', 'start, ms', 'memory, MiB', 'slow clients', 'more memory, MiB', 'reloads'],
  measured.behaviors.map(behaviorCells),
)}
`
}

function counted(connections: number): string {
  return connections === 1 ? '1 connection' : `${connections} connections`
}

function cost({ costs }: Measured, { name }: Rival, connections: number): string {
  const own = costs.filter((one) => one.rival === name && one.connections === connections)
  const ratios = own.flatMap(({ round, us }) => {
    const base = costs.find(
      (one) => one.rival === BASELINE && one.connections === connections && one.round === round,
    )
    return base === undefined ? [] : [us / base.us]
  })
  const ratio = ratios.length > 0 ? ` (${spread(ratios).median.toFixed(2)})` : ''
  const errors = own.reduce((sum, { seen }) => sum + seen.errors, 0)
  const failed = errors > 0 ? `, ${errors} errors` : ''
  return `${spread(own.map(({ us }) => us)).median.toFixed(1)}${ratio}${failed}`
}

function latency({ costs }: Measured, { name }: Rival, connections: number): string {
  const own = costs.filter((one) => one.rival === name && one.connections === connections)
  const median = (read: (one: Cost) => number) => spread(own.map(read)).median.toFixed(0)
  return `${median(({ seen }) => seen.p50us)}, ${median(({ seen }) => seen.p99us)}`
}

function behaviorCells({ rival, startMs, memoryBytes, slow, reload }: Behavior): string[] {
  const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  return [
    rival,
    startMs.toFixed(0),
    mebibytes(memoryBytes),
    `${slow.answered} of ${slow.asked}, ${slow.worstMs.toFixed(0)} ms`,
    mebibytes(slow.grownBytes),
    reload === undefined ? 'none' : `${reload.failed} of ${reload.requests} failed`,
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
