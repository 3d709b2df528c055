// The files that the checks of scripts/tidy.ts read, and the searches that they share.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative } from 'node:path'

export interface Source {
  /** From the root of the repository, with slashes. */
  readonly path: string
  readonly text: string
  /** The text without its comments, line for line. */
  readonly code: string
}

export interface Check {
  readonly sentence: string
  find(sources: readonly Source[]): string[]
}

/** Generated sources, which are exempt from the rules on language, length and heads. */
export const GENERATED = ['ts/native/binding.d.cts']
const FOLDERS = [
  ...['ts', 'crates', 'scripts', 'bench', '__test__', 'examples', 'docs', 'npm', 'fuzz', 'site'],
]
const SKIPPED_FOLDERS = ['node_modules', 'target', 'dist', '.nodes', 'fixtures', 'golden', 'corpus']

/** Every source of a tree that a check may want to read. */
export function readSources(root: string): Source[] {
  const top = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(?:md|json|toml|rs)$/.test(entry.name))
    .map((entry) => join(root, entry.name))
  const below = FOLDERS.flatMap((folder) => walk(join(root, folder)))
  return [...top, ...below].map((file) => {
    const text = readFileSync(file, 'utf8')
    return source(relative(root, file), text)
  })
}

/** A source from its path and text; the tests make theirs by it. */
export function source(path: string, text: string): Source {
  const hasComments = /\.(?:ts|cts|mts|js|mjs|cjs|rs|c)$/.test(path)
  return { path, text, code: hasComments ? withoutComments(text) : text }
}

function walk(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return SKIPPED_FOLDERS.includes(entry.name) ? [] : walk(path)
    return /^\.(?:ts|cts|mts|js|mjs|cjs|rs|c|md|json|toml)$/.test(extname(path)) ? [path] : []
  })
}

// Blanks comments and keeps the lines, so that a finding has its number. A `//` inside a string (an
// address) ends the line too early for the eye of a check, which no check here minds.
function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
}

export function under(sources: readonly Source[], prefix: string): Source[] {
  return sources.filter(({ path }) => path.startsWith(prefix))
}

export function typescript(sources: readonly Source[]): Source[] {
  return under(sources, 'ts/').filter(
    ({ path }) => !GENERATED.includes(path) && path.endsWith('.ts'),
  )
}

export function script(sources: readonly Source[]): Source[] {
  return sources.filter(({ path }) => /\.(?:ts|mts|js|mjs|cjs)$/.test(path))
}

/** What is read as a program: examples are left out, they are written for people who copy them. */
export function code(sources: readonly Source[]): Source[] {
  return sources.filter(
    ({ path }) => /\.(?:ts|cts|rs|c)$/.test(path) && !path.startsWith('examples/'),
  )
}

export function headPattern(path: string): RegExp {
  if (path === 'build.rs') return /^/
  if (path.endsWith('.rs')) return /^\/\/!/
  return /^(?:#!.*\n)?(?:\/\/|\/\*)/
}

export function matches(
  sources: readonly Source[],
  pattern: RegExp,
  field: 'code' | 'text' = 'code',
) {
  return sources.flatMap((source) => {
    const all = source[field].matchAll(new RegExp(pattern.source, 'gm'))
    return [...all].map((match) => {
      const line = source[field].slice(0, match.index).split('\n').length
      return `${source.path}:${line}: ${match[0].trim()}`
    })
  })
}
