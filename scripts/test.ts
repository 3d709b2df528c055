// `npm test`: builds, runs cargo's tests and ava's, and ends with one line that counts both.
// With arguments only ava runs, on these files: `npm test -- __test__/settings/table.spec.ts`.

import { build, cargoObstacle } from './build.ts'
import { isMain, run, runBin } from './command.ts'

export interface Totals {
  passed: number
  failed: number
}

/** Counts what ava's default reporter says at the end of a run. */
export function avaTotals(output: string, status: number): Totals {
  // It counts what passed only when nothing failed; else its ticks are counted.
  const passed = sum(output, /^\s*(\d+) tests? passed/gm) || (output.match(/^\s*✔ /gm)?.length ?? 0)
  const failed = sum(
    output,
    /^\s*(\d+) (?:tests? failed|hooks? failed|uncaught exceptions?|unhandled rejections?|tests? remained pending|tests? interrupted)/gm,
  )
  return atLeastOneFailure({ passed, failed }, status)
}

/** Counts what cargo says at the end of each test binary. */
export function cargoTotals(output: string, status: number): Totals {
  const passed = sum(output, /^test result: .*?(\d+) passed/gm)
  const failed = sum(output, /^test result: .*?(\d+) failed/gm)
  return atLeastOneFailure({ passed, failed }, status)
}

/** A run that failed without naming a test (it did not compile, it was killed, it found no test) failed once. */
function atLeastOneFailure(totals: Totals, status: number): Totals {
  const isSilentFailure = totals.failed === 0 && (status !== 0 || totals.passed === 0)
  return isSilentFailure ? { ...totals, failed: 1 } : totals
}

function sum(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0)
}

async function testAll(files: readonly string[]): Promise<Totals[]> {
  if (!(await build())) return [{ passed: 0, failed: 1 }]
  const totals: Totals[] = []
  if (files.length === 0 && (await cargoObstacle()) === undefined) {
    const cargo = await run('cargo', ['test', '--workspace', '--color', 'never'])
    totals.push(report('cargo test', cargoTotals(cargo.output, cargo.status)))
  }
  const ava = await runBin('ava', files, { env: { ...process.env, NO_COLOR: '1' } })
  totals.push(report('ava', avaTotals(ava.output, ava.status)))
  return totals
}

const summary: string[] = []

function report(name: string, totals: Totals): Totals {
  summary.push(`${name}: ${totals.passed} passed, ${totals.failed} failed`)
  return totals
}

if (isMain(import.meta.url)) {
  const totals = await testAll(process.argv.slice(2))
  const passed = totals.reduce((total, { passed }) => total + passed, 0)
  const failed = totals.reduce((total, { failed }) => total + failed, 0)
  for (const line of summary) console.log(line)
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
