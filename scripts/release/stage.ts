// Makes the packages of a release from the build: target/release-packages has the tarballs, their
// checksums, their bills of materials and the notes. The committed manifests have neither the
// owner's entries nor the dependencies on the platform packages; the packed ones have both.

import { createHash } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { build as bundle } from 'esbuild'
import { ROOT, run } from '../command.ts'
import { BILL, installedPackages, renderBill } from './bill.ts'
import { findFaults } from './binary.ts'
import { findBundledPackages, findLinkedCrates } from './linked.ts'
import { findToolchainNotices, NOTICES, noticesOf, renderNotices } from './notices.ts'
import type { Owner } from './owner.ts'
import { binaryName, type Platform } from './platforms.ts'
import { readChanges } from './versions.ts'

/** Everything that a release uploads. */
export const PACKAGES = join(ROOT, 'target', 'release-packages')
/** The test of the packages, which needs only Node and npm. */
export const SMOKE_TEST = 'smoke.mjs'
export const CHECKSUMS = 'SHA256SUMS'
const STAGE = join(ROOT, 'target', 'release-stage')
/** Fields that only serve the repository. A packed package has no scripts at all. */
const DROPPED = ['scripts', 'devDependencies', 'ava', 'napi', 'overrides']

type Manifest = Record<string, unknown> & { name: string; version: string; files: string[] }

/** Name of a platform's package on npm. */
export function platformPackage(owner: Owner, { name }: Platform): string {
  return `${owner.packageName}-${name}`
}

/** Name of a tarball as `npm pack` writes it. */
export function tarballName(name: string, version: string): string {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
}

/** Makes all packages for the platforms that have been built. */
export async function packAll(owner: Owner, platforms: readonly Platform[]): Promise<string[]> {
  for (const folder of [PACKAGES, STAGE]) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
  }
  for (const platform of platforms) await packPlatform(owner, platform)
  await packMain(owner, platforms)
  await bundleSmokeTest()
  writeFileSync(join(PACKAGES, 'notes.md'), `${readChanges()?.notes ?? ''}\n`)
  writeChecksums()
  return readdirSync(PACKAGES).sort()
}

async function packPlatform(owner: Owner, platform: Platform): Promise<void> {
  const source = join(ROOT, 'npm', platform.name)
  const folder = join(STAGE, platform.name)
  const binary = join(source, binaryName(platform))
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing; run \`npm run build:prebuilt -- ${platform.name}\``)
  }
  const faults = findFaults(readFileSync(binary), platform)
  if (faults.length > 0) throw new Error(`${binaryName(platform)}: ${faults.join('; ')}`)

  cpSync(source, folder, { recursive: true })
  const manifest = withOwner(readManifest(folder), owner)
  manifest.name = platformPackage(owner, platform)
  const crates = await findLinkedCrates(platform)
  const toolchain = await findToolchainNotices(platform)
  const notices = renderNotices([...noticesOf(crates), ...toolchain])
  const bill = renderBill({ name: manifest.name, version: manifest.version }, crates)
  await finish(folder, manifest, { notices, bill })
}

async function packMain(owner: Owner, platforms: readonly Platform[]): Promise<void> {
  const folder = join(STAGE, 'package')
  const packed = await run('npm', ['pack', '--silent', '--pack-destination', STAGE])
  if (packed.status !== 0) throw new Error('npm pack failed, see above')
  const tarball = readdirSync(STAGE).find((file) => file.endsWith('.tgz')) ?? ''
  const tar = await run('tar', ['-xzf', join(STAGE, tarball), '-C', STAGE], { show: false })
  if (tar.status !== 0) throw new Error(`tar could not read ${tarball}: ${tar.output.trim()}`)

  const manifest = withOwner(readManifest(folder), owner)
  manifest.name = owner.packageName
  manifest.optionalDependencies = Object.fromEntries(
    platforms.map((platform) => [platformPackage(owner, platform), manifest.version]),
  )
  renamePlatforms(join(folder, 'dist/native/binding.cjs'), owner)
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  const page = `${owner.repository}/blob/v${manifest.version}`
  writeFileSync(join(folder, 'README.md'), withAbsoluteLinks(readme, page))
  const security = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')
  writeFileSync(join(folder, 'SECURITY.md'), withAbsoluteLinks(withContact(security, owner), page))
  manifest.files.push('SECURITY.md')
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
  const notices = renderNotices(noticesOf(findBundledPackages()))
  const subject = { name: manifest.name, version: manifest.version }
  await finish(folder, manifest, { notices, bill: renderBill(subject, installedPackages(lock)) })
}

/** The loader of the addon has the names of the platform packages as they are in the repository. */
function renamePlatforms(loader: string, { packageName }: Owner): void {
  const text = readFileSync(loader, 'utf8')
  const renamed = text.replaceAll(/(['"])monoceros-(?=[a-z0-9]+-)/g, `$1${packageName}-`)
  writeFileSync(loader, renamed)
}

/** Writes what every package has, packs the folder, and copies the bill beside the tarball. */
async function finish(
  folder: string,
  manifest: Manifest,
  { notices, bill }: { notices: string; bill: string },
): Promise<void> {
  const { name, version } = manifest
  const text = JSON.stringify({ ...manifest, files: [...manifest.files, NOTICES, BILL] }, null, 2)
  writeFileSync(join(folder, 'package.json'), `${text}\n`)
  writeFileSync(join(folder, NOTICES), notices)
  writeFileSync(join(folder, BILL), bill)
  copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
  const options = ['--silent', '--ignore-scripts', '--pack-destination', PACKAGES]
  const { status } = await run('npm', ['pack', ...options], { cwd: folder })
  if (status !== 0) throw new Error(`npm pack of ${name} failed, see above`)
  const tarball = tarballName(name, version)
  if (!existsSync(join(PACKAGES, tarball))) throw new Error(`npm pack did not write ${tarball}`)
  copyFileSync(join(folder, BILL), join(PACKAGES, tarball.replace(/\.tgz$/, '.cdx.json')))
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** Adds the owner's entries; without `repository`, npm refuses provenance. */
export function withOwner(manifest: Manifest, owner: Owner): Manifest {
  const { repository, author } = owner
  const kept = Object.entries(manifest).filter(([field]) => !DROPPED.includes(field))
  return {
    ...(Object.fromEntries(kept) as Manifest),
    author,
    homepage: `${repository}#readme`,
    bugs: { url: `${repository}/issues` },
    repository: { type: 'git', url: `git+${repository}.git` },
  }
}

/** Makes relative links work on the page of the package, which does not have the repository. */
export function withAbsoluteLinks(markdown: string, page: string): string {
  return markdown.replaceAll(/\]\((?!\w+:|#)(?:\.\/)?([^)\s]+)\)/g, `](${page}/$1)`)
}

/** Names the form and the contact, which the page in the repository cannot. */
export function withContact(markdown: string, { repository, securityContact }: Owner): string {
  const form = `${repository}/security/advisories/new`
  const contact = `The form is at ${form}. If you cannot use it, write to ${securityContact}.`
  return markdown.replace(/^## Report a vulnerability\n/m, (title) => `${title}\n${contact}\n`)
}

async function bundleSmokeTest(): Promise<void> {
  await bundle({
    entryPoints: [join(ROOT, 'scripts/release/smoke.ts')],
    outfile: join(PACKAGES, SMOKE_TEST),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    define: await certificate(),
    logLevel: 'warning',
  })
}

/** A certificate of localhost for the test of TLS, so that no key is committed. */
async function certificate(): Promise<Record<string, string>> {
  const files = { CERTIFICATE: join(STAGE, 'certificate.pem'), PRIVATE_KEY: join(STAGE, 'key.pem') }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const out = ['-keyout', files.PRIVATE_KEY, '-out', files.CERTIFICATE]
  const args = ['req', '-x509', ...key, '-days', '30', ...subject, ...out]
  const { status, output } = await run('openssl', args, { show: false })
  if (status !== 0) throw new Error(`openssl req failed: ${output.trim()}`)
  const texts = Object.entries(files).map(([name, file]) => [
    name,
    JSON.stringify(readFileSync(file, 'utf8')),
  ])
  return Object.fromEntries(texts)
}

/** Files that the GitHub release has: the packages and their bills of materials. */
export function releasedFiles(): string[] {
  return readdirSync(PACKAGES)
    .filter((file) => /\.(?:tgz|cdx\.json)$/.test(file))
    .sort()
}

/** Writes the checksums as `sha256sum --check` reads them. */
function writeChecksums(): void {
  const lines = releasedFiles().map((file) => {
    const digest = createHash('sha256')
      .update(readFileSync(join(PACKAGES, file)))
      .digest('hex')
    return `${digest}  ${file}\n`
  })
  writeFileSync(join(PACKAGES, CHECKSUMS), lines.join(''))
}
