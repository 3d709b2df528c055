// `npm test`: builds, runs the tests of cargo and ava, compares what they used with the tables of
// proofs, and prints at the end which tests were skipped, and the totals.
// With arguments it runs only ava on these files: `npm test -- __test__/settings/table.spec.ts`.

import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'

import { build, cargoObstacle } from './build.ts'
import { isMain, run, runBin } from './command.ts'
import { findUnproven, readRecord, titlePattern } from './proof-record.ts'

export interface Totals {
  passed: number
  failed: number
  /** Titles of the skipped tests, which end with the reason. */
  skipped: string[]
}

/** Threads of cargo's tests for each processor: most tests of the protocol wait for a deadline. */
const RUST_THREADS = 4

/** Patterns of the lines in which ava counts what failed. */
const FAILURES = [
  'tests? failed|hooks? failed|uncaught exceptions?|unhandled rejections?',
  'tests? remained pending|tests? interrupted',
]

/** Reads the totals from the output of ava's default reporter. */
export function avaTotals(output: string, status: number): Totals {
  // The reporter prints the number of passed tests only if none failed. Otherwise count its ticks.
  const passed = sum(output, /^\s*(\d+) tests? passed/gm) || (output.match(/^\s*✔ /gm)?.length ?? 0)
  const failed = FAILURES.reduce(
    (total, failure) => total + sum(output, new RegExp(`^\\s*(\\d+) (?:${failure})`, 'gm')),
    0,
  )
  const skipped = matches(output, /^\s*- \[skip\] (.*)$/gm)
  return withSilentFailure({ passed, failed, skipped }, status)
}

/** Adds up the totals that cargo prints after each test binary. */
export function cargoTotals(output: string, status: number): Totals {
  const passed = sum(output, /^test result: .*?(\d+) passed/gm)
  const failed = sum(output, /^test result: .*?(\d+) failed/gm)
  const skipped = matches(output, /^test (.* \.\.\. ignored.*)$/gm)
  return withSilentFailure({ passed, failed, skipped }, status)
}

/**
 * Counts one failure for a run that failed without a failed test: it did not compile, was killed,
 * or found no test.
 */
function withSilentFailure(totals: Totals, status: number): Totals {
  const isSilentFailure = totals.failed === 0 && (status !== 0 || totals.passed === 0)
  return isSilentFailure ? { ...totals, failed: 1 } : totals
}

function sum(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0)
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].flatMap((match) => match[1] ?? [])
}

async function testAll(files: readonly string[]): Promise<Totals[]> {
  if (!(await build())) return [{ passed: 0, failed: 1, skipped: [] }]
  const totals: Totals[] = []
  const record = mkdtempSync(join(tmpdir(), 'monoceros-record-'))
  const env = { ...process.env, NO_COLOR: '1', PROOF_RECORD: record }
  const hasCargo = files.length === 0 && (await cargoObstacle()) === undefined
  if (hasCargo) {
    const waiting = { ...env, RUST_TEST_THREADS: String(RUST_THREADS * availableParallelism()) }
    const cargo = await run('cargo', ['test', '--workspace', '--color=never'], { env: waiting })
    totals.push(report('cargo test', cargoTotals(cargo.output, cargo.status)))
  }
  const ava = await runBin('ava', files, { env })
  totals.push(report('ava', avaTotals(ava.output, ava.status)))
  // A test that fails uses nothing, and is reported already. Without cargo there may be no addon.
  if ((hasCargo || files.length > 0) && totals.every(({ failed }) => failed === 0)) {
    const skipped = totals.flatMap((total) => total.skipped)
    totals.push(await reportUnproven(record, { files, hasCargo, skipped }))
  }
  rmSync(record, { recursive: true })
  return totals
}

/** What a run has had of all tests. */
interface Extent {
  /** The files of ava that were asked for: all if there is none. */
  readonly files: readonly string[]
  readonly hasCargo: boolean
  readonly skipped: readonly string[]
}

/** Counts each row of the tables of proofs that the run should have proved, and did not. */
async function reportUnproven(record: string, extent: Extent): Promise<Totals> {
  const unproven = await findUnproven(readRecord(record), (file, title) =>
    wasRun(extent, { file, title }),
  )
  for (const row of unproven) summary.push(`not proved by its test: ${row}`)
  return { passed: 0, failed: unproven.length, skipped: [] }
}

/** Whether a run has had the test of a proof. */
export function wasRun(
  { files, hasCargo, skipped }: Extent,
  { file, title }: { file: string; title: string },
): boolean {
  if (file.startsWith('crates/')) return hasCargo
  if (files.length > 0 && !files.some((path) => path.endsWith(`__test__/${file}`))) return false
  // Before a title ava prints the folders that the files of the run do not share.
  return !skipped.some((test) => titlePattern(title).test(test))
}

const summary: string[] = []

function report(name: string, totals: Totals): Totals {
  const { passed, failed, skipped } = totals
  summary.push(`${name}: ${passed} passed, ${failed} failed, ${skipped.length} skipped`)
  return totals
}

if (isMain(import.meta.url)) {
  const totals = await testAll(process.argv.slice(2))
  const passed = totals.reduce((total, { passed }) => total + passed, 0)
  const failed = totals.reduce((total, { failed }) => total + failed, 0)
  for (const title of totals.flatMap(({ skipped }) => skipped)) console.log(`skipped: ${title}`)
  for (const line of summary) console.log(line)
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
