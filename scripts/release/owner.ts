// What only the owner of the project can decide: the address of the repository, the contacts and
// the names on npm. scripts/release/owner.json is the only place to fill in, RELEASING.md describes
// each entry, and a release does not start while one is missing.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../command.ts'

export type Owner = Readonly<Record<keyof typeof ENTRIES, string>>

interface Entry {
  /** What the value must look like, as the end of "must be". */
  readonly form: string
  readonly pattern: RegExp
  /** Value that a dry run uses while the entry is empty. */
  readonly example: string
}

const ENTRIES = {
  repository: {
    form: 'the address of a GitHub repository, https://github.com/OWNER/NAME',
    pattern: /^https:\/\/github\.com\/[\w.-]+\/[\w.-]+$/,
    example: 'https://github.com/example/monoceros',
  },
  author: {
    form: 'the name of a person or an organization',
    pattern: /\S/,
    example: 'Example',
  },
  securityContact: {
    form: 'an email address or an https address',
    pattern: /^(?:[^\s@]+@[^\s@]+\.[^\s@]+|https:\/\/\S+)$/,
    example: 'security@example.com',
  },
  npmAccount: {
    form: 'the npm account or organization that owns the packages',
    pattern: /^[\w.-]+$/,
    example: 'example',
  },
  packageName: {
    form: 'the name of the main package; those of the platforms begin with it',
    pattern: /^(?:@[a-z0-9-]+\/)?[a-z0-9][a-z0-9.-]*$/,
    example: 'monoceros',
  },
} as const satisfies Record<string, Entry>

const PATH = 'scripts/release/owner.json'
const NAMES = Object.keys(ENTRIES) as (keyof Owner)[]

/** Reads the entries as they are filled in. */
export function readOwner(): Partial<Record<string, unknown>> {
  return JSON.parse(readFileSync(join(ROOT, PATH), 'utf8'))
}

/** Lists the entries that are missing or malformed, one sentence each. */
export function findOwnerFaults(owner: Partial<Record<string, unknown>>): string[] {
  return NAMES.flatMap((name) => {
    const value = owner[name]
    const { form, pattern } = ENTRIES[name]
    if (typeof value === 'string' && pattern.test(value)) return []
    const found =
      value === undefined || value === '' ? 'it is empty' : `got ${JSON.stringify(value)}`
    return [`${PATH}: "${name}" must be ${form}; ${found}`]
  })
}

/** Replaces each missing or malformed entry by its example. */
export function withExamples(owner: Partial<Record<string, unknown>>): Owner {
  const filled = NAMES.map((name) => {
    const value = owner[name]
    const { pattern, example } = ENTRIES[name]
    return [name, typeof value === 'string' && pattern.test(value) ? value : example]
  })
  return Object.fromEntries(filled) as Owner
}
