// The page that a run prints. A complete run writes it into bench/results/.

import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { addonProfile } from '../scripts/build.ts'
import { ROOT } from '../scripts/command.ts'
import { CASES, type EngineName } from './cases.ts'
import type { Figures, Spread } from './figures.ts'
import type { Generator } from './load.ts'
import type { MemoryRow } from './memory.ts'
import type { BenchOptions } from './options.ts'
import type { Result } from './run.ts'

const ENGINES: Readonly<Record<EngineName, string>> = {
  floor: 'a C program',
  crate: 'the engine',
  hyper: 'hyper alone',
  plain: 'node:http',
  native: 'native',
  node: 'TypeScript',
  bun: 'Bun',
}
const FRAMEWORKS = ['express', 'koa', 'fastify', 'hono', '@hono/node-server']

/** Prints the page, and writes it where it belongs. */
export function writeReport(
  results: readonly Result[],
  options: BenchOptions,
  generator: Generator,
): void {
  const page = [
    '# Processor time a request',
    '',
    '<!-- Written by `npm run bench`; bench/README.md describes the method. -->',
    '',
    ...conditions(options, generator),
    ...results.flatMap((result) => resultLines(result, options)),
    '',
  ].join('\n')
  const versions = results.map(({ node }) => node.version).join('-')
  printPage(page, options, `${versions}${options.close ? '-close' : ''}`)
}

/** Prints a page. Writes it to `out`, or that of a whole run into the results, with a name. */
export function printPage(
  page: string,
  { out, isWhole }: Pick<BenchOptions, 'out' | 'isWhole'>,
  name: string,
): void {
  console.log(`\n${page}`)
  const own = join(ROOT, 'bench/results', `${today()}-${name}.md`)
  const path = out ?? (isWhole ? own : undefined)
  if (path === undefined) return
  writeFileSync(path, page)
  console.log(`written to ${path}`)
}

function conditions(options: BenchOptions, generator: Generator): string[] {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const load = generator === 'wrk' ? 'wrk' : 'bench/native/load.c'
  const kind = options.close ? 'a new connection for each request' : 'keep-alive'
  return [
    `- ${today()}, monoceros ${version('')}, addon built with cargo profile ${addonProfile()}`,
    `- ${cpus().length} x ${cpus()[0]?.model.trim()}, ${memory}, Linux ${release()}`,
    `- server on one processor, ${load} on the other, ${kind}`,
    `- ${options.rounds} rounds of ${options.seconds} s, servers in turn; median (least to most)`,
    `- ${FRAMEWORKS.map((name) => `${name} ${version(`node_modules/${name}`)}`).join(', ')}`,
    '',
    'A ratio compares with node:http (or the same framework on it) of the same Node in the same',
    'round. Only ratios carry over',
    'to another machine.',
  ]
}

function resultLines({ node, figures, memory }: Result, options: BenchOptions): string[] {
  return [
    ...options.connections.flatMap((connections) => [
      '',
      `## Node ${node.version}, ${counted(connections)}`,
      '',
      '| case | server | us per request | ratio | to floor | median latency, us | ratio | req/s |',
      '| --- | --- | --- | --- | --- | --- | --- | --- |',
      ...figures.filter((row) => row.connections === connections).map(figureLine),
    ]),
    ...(memory.length > 0 ? memoryLines(node.version, memory) : []),
  ]
}

function figureLine(row: Figures): string {
  const { subject, us, ratio, floorRatio, p50us, latencyRatio, perSecond, errors } = row
  const cells = [
    CASES[subject.name].title,
    ENGINES[subject.engine],
    us.median.toFixed(2),
    `**${ratio.median.toFixed(2)}** ${extremes(ratio)}`,
    floorRatio === undefined ? '' : floorRatio.median.toFixed(2),
    p50us.median.toFixed(0),
    `${latencyRatio.median.toFixed(2)} ${extremes(latencyRatio)}`,
    `${Math.round(perSecond.median)}${errors > 0 ? `, ${errors} ERRORS` : ''}`,
  ]
  return `| ${cells.join(' | ')} |`
}

function memoryLines(nodeVersion: string, rows: readonly MemoryRow[]): string[] {
  return [
    '',
    `## Node ${nodeVersion}, resident memory of an idle process`,
    '',
    '| process | MiB | ratio |',
    '| --- | --- | --- |',
    ...rows.map(
      ({ name, bytes, ratio }) =>
        `| ${name} | ${(bytes / 2 ** 20).toFixed(1)} | ${ratio.toFixed(2)} |`,
    ),
  ]
}

function extremes({ least, most }: Spread): string {
  return `(${least.toFixed(2)} to ${most.toFixed(2)})`
}

function version(folder: string): string {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')).version
}

/** A number of connections, in words. */
export function counted(connections: number): string {
  return `${connections} connection${connections === 1 ? '' : 's'}`
}

export function today(): string {
  return new Date().toISOString().slice(0, 10)
}
