// `tsx scripts/tidy.ts`: reads the sources and finds what breaks a rule of ARCHITECTURE.md or
// CONTRIBUTING.md. Each check is a row with the sentence that it guards;
// __test__/scripts/tidy.spec.ts runs every row on this repository, and on small trees that break
// it.

import { type CommandResult, isMain, ROOT } from './command.ts'
import { COMMITS } from './tidy/commits.ts'
import { ENGINE_SHAPE } from './tidy/engine-shape.ts'
import { INVARIANTS } from './tidy/invariants.ts'
import { LANGUAGE } from './tidy/language.ts'
import { type Check, readSources } from './tidy/sources.ts'
import { WINGS } from './tidy/wings.ts'

export const CHECKS: readonly Check[] = [
  ...[...INVARIANTS, ...WINGS, ...ENGINE_SHAPE],
  ...[...LANGUAGE, ...COMMITS],
]

/** Runs all checks and shows what they found, as a program of the lint list would. */
export function tidyAll(root = ROOT): CommandResult {
  const sources = readSources(root)
  const lines = CHECKS.flatMap(({ sentence, find }) => {
    const found = find(sources)
    return found.length === 0 ? [] : [`${sentence}:`, ...found.map((line) => `  ${line}`)]
  })
  const output = lines.map((line) => `${line}\n`).join('')
  process.stdout.write(output)
  return { status: lines.length === 0 ? 0 : 1, output }
}

if (isMain(import.meta.url)) process.exitCode = tidyAll().status
