// Checks that a tag, the versions in all manifests and CHANGELOG.md agree, and reads the notes of
// a version from CHANGELOG.md.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../command.ts'

export interface Stated {
  /** Where the version is written. */
  readonly path: string
  readonly version: string
}

export interface Changes {
  readonly version: string
  /** Date of the release, or what is written in its place. */
  readonly date: string
  readonly notes: string
}

const CRATES = ['monoceros-engine', 'monoceros-node']

/** The version that this tree would be released as. */
export function packageVersion(): string {
  return JSON.parse(readText('package.json')).version
}

/** Reads the version of every manifest and lock file. */
export function readVersions(): Stated[] {
  const manifests = ['package.json', ...readdirSync(join(ROOT, 'npm')).map(manifestOf)]
  const lock = JSON.parse(readText('package-lock.json'))
  return [
    ...manifests.map((path) => ({ path, version: String(JSON.parse(readText(path)).version) })),
    { path: 'package-lock.json', version: lock.version },
    { path: 'package-lock.json (packages)', version: lock.packages[''].version },
    ...['Cargo.toml', 'crates/engine/Cargo.toml'].map((path) => ({
      path,
      version: /^version = "([^"]+)"/m.exec(readText(path))?.[1] ?? 'none',
    })),
    ...CRATES.map((name) => ({
      path: `Cargo.lock (${name})`,
      version:
        new RegExp(`^name = "${name}"\\nversion = "([^"]+)"`, 'm').exec(
          readText('Cargo.lock'),
        )?.[1] ?? 'none',
    })),
  ]
}

/** Lists every disagreement between the tag, the versions and the first entry of CHANGELOG.md. */
export function findVersionFaults(
  tag: string,
  versions: readonly Stated[],
  changes: Changes | undefined,
): string[] {
  const version = /^v(\d+\.\d+\.\d+(?:-[\w.]+)?)$/.exec(tag)?.[1]
  if (version === undefined) return [`the tag "${tag}" must be "v" and a version, such as v1.2.3`]
  const faults = versions
    .filter((stated) => stated.version !== version)
    .map((stated) => `${stated.path} has version ${stated.version}, the tag is ${tag}`)
  if (changes === undefined) return [...faults, 'CHANGELOG.md has no entry with a version']
  if (changes.version !== version) {
    faults.push(`the first entry of CHANGELOG.md is ${changes.version}, the tag is ${tag}`)
  }
  if (!/^\d{4}-\d{2}-\d{2}$/.test(changes.date)) {
    faults.push(
      `CHANGELOG.md must have the date of ${changes.version} as YYYY-MM-DD, got "${changes.date}"`,
    )
  }
  if (changes.notes === '') faults.push(`CHANGELOG.md has no text for ${changes.version}`)
  return faults
}

/** Reads the first entry of CHANGELOG.md: `## VERSION (DATE)` and the text below it. */
export function readChanges(text = readText('CHANGELOG.md')): Changes | undefined {
  const found = /^## (\d\S*) \(([^)\n]*)\)\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(text)
  if (found === null) return undefined
  const [, version = '', date = '', notes = ''] = found
  return { version, date, notes: notes.trim() }
}

function manifestOf(name: string): string {
  return `npm/${name}/package.json`
}

function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}
