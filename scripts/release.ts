// `npm run release -- [STEP...] [PLATFORM...] [--tag vX.Y.Z] [--dry-run] [--node PATH]...`: a
// release, as RELEASING.md describes it. Without a step, all of them run. `--dry-run` does
// everything here but the upload, with examples for what the owner has not filled in. It lists at
// the end what would stop a release.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT, run } from './command.ts'
import { findRunners } from './release/nodes.ts'
import { findOwnerFaults, type Owner, readOwner, withExamples } from './release/owner.ts'
import { binaryName, PLATFORMS, type Platform, platformsNamed } from './release/platforms.ts'
import { publishAll } from './release/publish.ts'
import { PACKAGES, packAll, SMOKE_TEST } from './release/stage.ts'
import { findVersionFaults, packageVersion, readChanges, readVersions } from './release/versions.ts'

interface Release {
  readonly tag: string
  readonly isDryRun: boolean
  readonly owner: Owner
  readonly platforms: readonly Platform[]
  /** Further Node programs to test with. */
  readonly nodes: readonly string[]
}

const STEPS = { check, build, pack, test: testPackages, publish }
type Step = keyof typeof STEPS
const STEP_NAMES = Object.keys(STEPS) as Step[]

/** What would stop a release; a dry run continues. */
const faults: string[] = []

/** Whether the owner's list is complete, and tag, versions, CHANGELOG.md and commit agree. */
async function check({ tag, isDryRun }: Release): Promise<void> {
  faults.push(...findOwnerFaults(readOwner()))
  faults.push(...findVersionFaults(tag, readVersions(), readChanges()))
  faults.push(...(await findTreeFaults(tag)))
  if (isDryRun || faults.length === 0) return
  throw new Error(`this tree cannot be released as ${tag}:\n  ${faults.join('\n  ')}`)
}

/** The packages must be those of the commit that the tag names. */
async function findTreeFaults(tag: string): Promise<string[]> {
  const git = (...args: string[]) => run('git', args, { show: false })
  const [status, head, tagged] = [
    await git('status', '--porcelain'),
    await git('rev-parse', 'HEAD'),
    await git('rev-parse', '--verify', '--quiet', `refs/tags/${tag}^{commit}`),
  ]
  const found: string[] = []
  if (status.output.trim() !== '') found.push('the working tree has changes that are not committed')
  if (tagged.status !== 0) found.push(`there is no tag ${tag}; create it with \`git tag ${tag}\``)
  if (tagged.status === 0 && tagged.output !== head.output) {
    found.push(`the tag ${tag} is not the commit that is checked out`)
  }
  return found
}

/** Builds the binaries that are missing; those of macOS only on a Mac. */
async function build({ platforms }: Release): Promise<void> {
  const missing = platforms.filter(
    (platform) => !existsSync(join(ROOT, 'npm', platform.name, binaryName(platform))),
  )
  if (missing.length === 0) return
  const names = missing.map(({ name }) => name)
  const { status } = await run('npm', ['run', 'build:prebuilt', '--', ...names])
  if (status !== 0) throw new Error('the binaries could not be built, see above')
}

async function pack({ owner, platforms, isDryRun }: Release): Promise<void> {
  if (!isDryRun && platforms.length < PLATFORMS.length) {
    throw new Error('a release has the packages of all platforms')
  }
  console.log((await packAll(owner, platforms)).join('\n'))
}

/** Tests the packages with every Node program that this machine can run. */
async function testPackages({ platforms, nodes, isDryRun }: Release): Promise<void> {
  const results: string[] = []
  for (const platform of platforms) {
    for (const { label, node, obstacle } of await findRunners(platform, nodes)) {
      if (node === undefined) {
        results.push(`${platform.name}: ${label}: skipped, ${obstacle}`)
        continue
      }
      const target = ['--platform', platform.name, '--node', node]
      const { status } = await run('node', [join(PACKAGES, SMOKE_TEST), PACKAGES, ...target])
      results.push(`${platform.name}: ${label}: ${status === 0 ? 'ok' : 'FAILED'}`)
    }
  }
  console.log(results.join('\n'))
  const failed = results.filter((result) => result.endsWith('FAILED'))
  if (failed.length > 0) throw new Error(`${failed.length} tests of the packages failed`)
  if (!isDryRun && results.every((result) => result.includes('skipped'))) {
    throw new Error('no package could be tested on this machine')
  }
}

async function publish({ owner, isDryRun }: Release): Promise<void> {
  if (readdirSync(PACKAGES).length === 0) throw new Error('there are no packages; run `pack` first')
  await publishAll(owner, isDryRun)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tag: { type: 'string' },
    'dry-run': { type: 'boolean' },
    node: { type: 'string', multiple: true },
  },
})
const isStep = (word: string): word is Step => STEP_NAMES.some((step) => step === word)
const steps = positionals.filter(isStep)
try {
  const release: Release = {
    tag: values.tag ?? `v${packageVersion()}`,
    isDryRun: values['dry-run'] ?? false,
    owner: withExamples(readOwner()),
    platforms: platformsNamed(positionals.filter((word) => !isStep(word))),
    nodes: values.node ?? [],
  }
  // No step starts from a tree that cannot be released.
  const chosen = steps.length === 0 ? STEP_NAMES : steps
  if (!chosen.includes('check')) await check(release)
  for (const step of chosen) {
    console.log(`== ${step}`)
    await STEPS[step](release)
  }
  if (faults.length > 0) {
    console.log(`A release would be refused:\n  ${faults.join('\n  ')}`)
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
