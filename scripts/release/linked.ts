// Finds the code of others that a package contains: the crates that are linked into a binary, and
// the npm packages that are bundled into dist/.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT, run } from '../command.ts'
import type { Component } from './bill.ts'
import type { Platform } from './platforms.ts'

export interface Linked extends Component {
  /** Files with the text of the license. */
  readonly licenseFiles: readonly string[]
}

interface CargoPackage {
  readonly name: string
  readonly version: string
  readonly license: string | null
  readonly manifest_path: string
}

/** Crates whose package has no license file, and a file of the same authors with the same text. */
const LICENSES_ELSEWHERE: Readonly<Record<string, string>> = {
  napi: 'node_modules/@napi-rs/cli/LICENSE',
  'napi-sys': 'node_modules/@napi-rs/cli/LICENSE',
}
/** The license to take where an expression offers a choice, the shortest text first. */
const PREFERRED = ['MIT', 'ISC', 'BSD-3-Clause', 'Apache-2.0']

/** Lists the crates that are linked into the binary of a platform, without our own. */
export async function findLinkedCrates({ triple }: Platform): Promise<Linked[]> {
  const target = ['--locked', '--color', 'never', '--target', triple]
  const tree = ['tree', ...target, '--edges', 'normal,no-proc-macro', '--prefix', 'none']
  const lines = await cargo([...tree, '--format', '{p}'])
  const names = new Set(
    lines.split('\n').map((line) => /^(\S+) v(\S+)/.exec(line)?.slice(1).join(' ')),
  )
  const metadata = await cargo(['metadata', '--locked', '--format-version', '1'])
  const packages: CargoPackage[] = JSON.parse(metadata).packages
  const checksums = readChecksums()
  return packages
    .filter(({ name, version }) => names.has(`${name} ${version}`) && !/^monoceros-/.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, version, license, manifest_path }) => {
      const expression = (license ?? 'NOASSERTION').replaceAll(/\s*\/\s*/g, ' OR ')
      const checksum = checksums.get(`${name} ${version}`)
      return {
        name,
        version,
        license: expression,
        purl: `pkg:cargo/${name}@${version}`,
        licenseFiles: licenseFilesOf(name, expression, dirname(manifest_path)),
        ...(checksum === undefined ? {} : { hash: { alg: 'SHA-256' as const, content: checksum } }),
      }
    })
}

/** The npm packages that scripts/build.ts bundles; docs/design/dependencies.md has the reason. */
export function findBundledPackages(): Linked[] {
  const folder = join(ROOT, 'node_modules', 'zod')
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const licenseFiles = licenseFilesOf(name, license, folder)
  return [{ name, version, license, purl: `pkg:npm/${name}@${version}`, licenseFiles }]
}

async function cargo(args: readonly string[]): Promise<string> {
  const { status, output } = await run('cargo', args, { show: false })
  if (status !== 0) throw new Error(`cargo ${args[0]} failed: ${output.trim()}`)
  // Progress lines of cargo precede its output.
  return args[0] === 'metadata' ? output.slice(output.indexOf('{"')) : output
}

function readChecksums(): Map<string, string> {
  const lock = readFileSync(join(ROOT, 'Cargo.lock'), 'utf8')
  const entry = /^name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"$/gm
  return new Map(
    [...lock.matchAll(entry)].map(([, name, version, sum = '']) => [`${name} ${version}`, sum]),
  )
}

function licenseFilesOf(name: string, license: string, folder: string): string[] {
  const elsewhere = LICENSES_ELSEWHERE[name]
  if (elsewhere !== undefined) return [join(ROOT, elsewhere)]
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file))
  const chosen = chooseFiles(license, files).map((file) => join(folder, file))
  if (chosen.length === 0 || !chosen.every(existsSync)) {
    throw new Error(`${name} has no license file for ${license} in ${folder}`)
  }
  return chosen
}

/** The file of one license where the expression offers a choice, otherwise all files. */
export function chooseFiles(license: string, files: readonly string[]): string[] {
  if (/ AND /.test(license)) return [...files]
  const offered = license.split(' OR ')
  for (const preferred of PREFERRED.filter((each) => offered.includes(each))) {
    const [family = ''] = preferred.split('-')
    const found = files.filter((file) => file.toUpperCase().endsWith(`-${family.toUpperCase()}`))
    if (found.length > 0) return found
  }
  return [...files]
}
