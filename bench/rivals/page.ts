// The page of a comparison with other servers.

import { cpus } from 'node:os'
import { spread } from '../figures.ts'
import { counted, today } from '../report.ts'
import type { Behavior, Cost } from './measure.ts'
import { BASELINE, type Rival } from './table.ts'

export interface Measured {
  readonly rivals: readonly Rival[]
  readonly costs: readonly Cost[]
  readonly behaviors: readonly Behavior[]
  readonly connections: readonly number[]
  readonly version: string
}

/** The page, with a table for each of processor time, latency and processes. */
export function pageOf(measured: Measured): string {
  const { rivals, connections, version } = measured
  const [cpu] = cpus()
  return `# Other servers, ${today()}

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

function costsOf({ costs }: Measured, rival: string, connections: number): Cost[] {
  return costs.filter((one) => one.rival === rival && one.connections === connections)
}

function cost(measured: Measured, { name }: Rival, connections: number): string {
  const own = costsOf(measured, name, connections)
  const baseline = costsOf(measured, BASELINE, connections)
  const ratios = own.flatMap(({ round, us }) => {
    const base = baseline.find((one) => one.round === round)
    return base === undefined ? [] : [us / base.us]
  })
  const ratio = ratios.length > 0 ? ` (${spread(ratios).median.toFixed(2)})` : ''
  const errors = own.reduce((sum, { seen }) => sum + seen.errors, 0)
  const failed = errors > 0 ? `, ${errors} errors` : ''
  return `${spread(own.map(({ us }) => us)).median.toFixed(1)}${ratio}${failed}`
}

function latency(measured: Measured, { name }: Rival, connections: number): string {
  const own = costsOf(measured, name, connections)
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
