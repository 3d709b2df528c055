// Publishes the packages of a release to npm: the platform packages first, so that no user
// installs a main package whose binaries are missing. A package that is published already is left
// as it is, so an interrupted release can be run again.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../command.ts'
import type { Owner } from './owner.ts'
import { PLATFORMS } from './platforms.ts'
import { PACKAGES, platformPackage, tarballName } from './stage.ts'
import { packageVersion } from './versions.ts'

export interface Publication {
  readonly name: string
  readonly tarball: string
}

/** The packages in the order in which they are published: the main package last. */
export function publicationsOf(owner: Owner, version: string): Publication[] {
  const names = [...PLATFORMS.map((platform) => platformPackage(owner, platform))]
  return [...names, owner.packageName].map((name) => ({
    name,
    tarball: tarballName(name, version),
  }))
}

/** Publishes all packages; with `isDryRun`, npm does everything but the upload. */
export async function publishAll(owner: Owner, isDryRun: boolean): Promise<void> {
  const version = packageVersion()
  const publications = publicationsOf(owner, version)
  const isPacked = ({ tarball }: Publication) => existsSync(join(PACKAGES, tarball))
  const missing = publications.filter((publication) => !isPacked(publication))
  if (missing.length > 0) {
    const text = `not packed: ${missing.map(({ name }) => name).join(', ')}`
    if (!isDryRun) throw new Error(text)
    console.log(text)
  }
  if (!isDryRun) await refuseForeignNames(owner, publications)
  for (const { name, tarball } of publications.filter(isPacked)) {
    const path = join(PACKAGES, tarball)
    const published = isDryRun ? undefined : await publishedIntegrity(name, version)
    if (published === integrityOf(path)) {
      console.log(`${name}@${version} is published already`)
      continue
    }
    if (published !== undefined) {
      throw new Error(`${name}@${version} is published with other contents; raise the version`)
    }
    const mode = isDryRun ? ['--dry-run'] : ['--provenance']
    const tag = version.includes('-') ? ['--tag', 'next'] : []
    const { status } = await run('npm', ['publish', '--access=public', ...mode, ...tag, path])
    if (status !== 0) throw new Error(`npm publish ${tarball} failed, see above`)
  }
}

/** A name that another account has taken is found before the first upload. */
async function refuseForeignNames(
  owner: Owner,
  publications: readonly Publication[],
): Promise<void> {
  const foreign: string[] = []
  for (const { name } of publications) {
    const maintainers = await view(name, 'maintainers')
    if (maintainers !== undefined && !isOwned(name, maintainers, owner)) foreign.push(name)
  }
  if (foreign.length > 0) {
    throw new Error(`${owner.npmAccount} does not own ${foreign.join(', ')} on npm`)
  }
}

/** Whether the account maintains a package, or the organization has its scope. */
export function isOwned(name: string, maintainers: string, { npmAccount }: Owner): boolean {
  const accounts = [...maintainers.matchAll(/([\w.-]+) </g)].map(([, account]) => account)
  return name.startsWith(`@${npmAccount}/`) || accounts.includes(npmAccount)
}

async function publishedIntegrity(name: string, version: string): Promise<string | undefined> {
  return /sha512-\S+/.exec((await view(`${name}@${version}`, 'dist.integrity')) ?? '')?.[0]
}

/** A field of a published package, or undefined if the package is not published. */
async function view(name: string, field: string): Promise<string | undefined> {
  const { status, output } = await run('npm', ['view', name, field], { show: false })
  if (status === 0) return output
  if (output.includes('E404')) return undefined
  throw new Error(`npm view ${name} failed: ${output.trim()}`)
}

function integrityOf(path: string): string {
  return `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`
}
