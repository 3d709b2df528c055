// `npm run lint`: every check that reads the sources without running them. All checks run, even if
// one fails. Those of cargo run one after the other, beside the others: they share a lock.

import { cargoObstacle } from './build.ts'
import { type CommandResult, run, runBin } from './command.ts'
import { tidyAll } from './tidy.ts'

interface Check {
  readonly name: string
  readonly needs?: 'cargo' | 'cargo-deny'
  run(): Promise<CommandResult>
}

/** The feature that no other build has: cryptography for machines that cannot build aws-lc. */
const WITH_RING = ['--no-default-features', '--features', 'ring']
/** The servers that the bench measures without Node are a workspace of their own. */
const BENCH = ['--manifest-path', 'bench/engine/Cargo.toml', '--target-dir', 'target']
const EVERYTHING = ['--workspace', '--all-targets']

const CHECKS: readonly Check[] = [
  { name: 'biome', run: () => runBin('biome', ['ci', '--error-on-warnings', '--colors=off']) },
  { name: 'types', run: () => runBin('tsc', ['--project', 'tsconfig.lint.json']) },
  { name: 'tidy', run: async () => tidyAll() },
  { name: 'rustfmt', needs: 'cargo', run: () => run('cargo', ['fmt', '--all', '--check']) },
  {
    name: 'clippy',
    needs: 'cargo',
    run: () => run('cargo', ['clippy', ...EVERYTHING, '--', '-D', 'warnings']),
  },
  {
    name: 'clippy, with ring',
    needs: 'cargo',
    run: () => run('cargo', ['clippy', ...WITH_RING, '--', '-D', 'warnings']),
  },
  {
    name: 'clippy, the bench',
    needs: 'cargo',
    run: () => run('cargo', ['clippy', ...BENCH, '--', '-D', 'warnings']),
  },
  {
    // Advisories are left out: they come as a git repository, which not every machine can fetch.
    name: 'cargo-deny',
    needs: 'cargo-deny',
    run: () => run('cargo', ['deny', 'check', 'bans', 'licenses', 'sources']),
  },
]

async function missing(check: Check): Promise<string | undefined> {
  if (check.needs === undefined) return undefined
  const obstacle = await cargoObstacle()
  if (obstacle !== undefined) return obstacle
  if (check.needs === 'cargo') return undefined
  const { status } = await run('cargo', ['deny', '--version'], { show: false })
  return status === 0 ? undefined : 'cargo-deny is not installed'
}

/** Runs checks one after the other. Returns how many have failed. */
async function runAll(checks: readonly Check[]): Promise<number> {
  let failed = 0
  for (const check of checks) {
    const reason = await missing(check)
    if (reason !== undefined) {
      console.log(`${check.name}: skipped, ${reason}`)
      continue
    }
    const { status } = await check.run()
    if (status !== 0) failed += 1
    console.log(`${check.name}: ${status === 0 ? 'ok' : 'FAILED'}`)
  }
  return failed
}

const failed = await Promise.all([
  runAll(CHECKS.filter(({ needs }) => needs !== undefined)),
  runAll(CHECKS.filter(({ needs }) => needs === undefined)),
])
process.exitCode = failed.every((count) => count === 0) ? 0 : 1
