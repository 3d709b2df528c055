// Reads the sources and finds what breaks an invariant of ARCHITECTURE.md. Each check is a row with the sentence it
// guards; __test__/scripts/tidy.spec.ts runs every row on this repository, and on small trees that break it.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, extname, join, relative } from 'node:path'
import { type CommandResult, isMain, ROOT } from './command.ts'

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

const MAX_LINES = 400
const MAX_MEDIAN_LINES = 120
const GENERATED = ['ts/native/binding.d.cts']
/** The ring asks for the time on the hot path, once or more a request: through an interface that would cost. */
const SYSTEM = ['ts/process/system.ts', 'ts/engine/native/ring.ts']
/** The page of all settings is prose round the table, and names a few of them; Node has flags of the same name. */
const NAMING_FLAGS = ['ts/settings/docs.ts', 'ts/process/inspect.ts']
const FOLDERS = ['ts', 'crates', 'scripts', 'bench', '__test__', 'examples', 'docs', 'npm', 'fuzz']
const SKIPPED_FOLDERS = ['node_modules', 'target', 'dist', '.nodes', 'fixtures', 'golden', 'corpus']

export const CHECKS: readonly Check[] = [
  {
    sentence: 'crates/engine does not name napi, and crates/node names neither hyper nor http',
    find: (sources) => [
      ...matches(under(sources, 'crates/engine/'), /\bnapi\b/),
      ...matches(under(sources, 'crates/node/'), /\b(?:hyper|http)::|\buse (?:hyper|http)\b/),
    ],
  },
  {
    sentence: 'only ts/native/index.ts imports the addon',
    find: (sources) =>
      matches(
        typescript(sources).filter(({ path }) => path !== 'ts/native/index.ts'),
        /(?:from|import|require)\b[^'"\n]*['"][^'"]*(?:binding\.cjs|\.node)['"]/,
      ),
  },
  {
    sentence:
      'ts/arbiter imports neither ts/engine nor ts/http, and ts/worker does not import ts/arbiter',
    find: (sources) => [
      ...matches(under(sources, 'ts/arbiter/'), /['"]\.\.\/(?:engine|http)\//),
      ...matches(under(sources, 'ts/worker/'), /['"]\.\.\/arbiter\//),
    ],
  },
  {
    sentence: 'only ts/process/system.ts touches process.on, process.kill and the clock',
    find: (sources) =>
      matches(
        typescript(sources).filter(({ path }) => !SYSTEM.includes(path)),
        /\bprocess\.(?:on|once|kill|hrtime)\b|\b(?:Date|performance)\.now\b/,
      ),
  },
  {
    sentence:
      'no flag and no environment name of a setting is written outside ts/settings/sections',
    find: (sources) => {
      const names = settingNames(sources)
      if (names.length === 0) return []
      const flags = names.map((name) => name.replaceAll('_', '-')).join('|')
      const variables = names.map((name) => name.toUpperCase()).join('|')
      return matches(
        typescript(sources).filter(({ path }) => !isSection(path) && !NAMING_FLAGS.includes(path)),
        new RegExp(`['"\`]--(?:${flags})\\b|\\bMONOCEROS_(?:${variables})\\b`),
      )
    },
  },
  {
    sentence:
      'errors are made in ts/errors.ts and, with the codes of node, in ts/http/node/errors.ts',
    find: (sources) =>
      matches(
        typescript(sources).filter(
          ({ path }) => path !== 'ts/errors.ts' && path !== 'ts/http/node/errors.ts',
        ),
        /\bnew (?:Type|Range|Syntax|Aggregate)?Error\b/,
      ),
  },
  {
    sentence:
      'no file is called util, helper, misc or common: a helper lives beside its first user',
    find: (sources) =>
      sources
        .map(({ path }) => path)
        .filter((path) =>
          /(?:^|[-_.])(?:utils?|helpers?|misc|common)(?:[-_.]|$)/.test(basename(path)),
        ),
  },
  {
    sentence: `no source is longer than ${MAX_LINES} lines, and half of ts/ is within ${MAX_MEDIAN_LINES}`,
    find: (sources) => {
      const measured = code(sources)
        .filter(({ path }) => !GENERATED.includes(path))
        .map(({ path, text }) => ({ path, lines: lineCount(text) }))
      const tooLong = measured
        .filter(({ lines }) => lines > MAX_LINES)
        .map(({ path, lines }) => `${path}: ${lines} lines`)
      const lengths = measured
        .filter(({ path }) => path.startsWith('ts/'))
        .map(({ lines }) => lines)
      const median = lengths.sort((a, b) => a - b)[Math.floor(lengths.length / 2)] ?? 0
      return median > MAX_MEDIAN_LINES ? [...tooLong, `ts/: median of ${median} lines`] : tooLong
    },
  },
  {
    sentence: 'every source outside the tests opens with a comment that says what it is',
    find: (sources) =>
      code(sources)
        .filter(({ path }) => !GENERATED.includes(path) && !path.startsWith('__test__/'))
        .filter(({ path, text }) => !headPattern(path).test(text))
        .map(({ path }) => path),
  },
  {
    sentence: 'an empty catch has a comment with the reason',
    find: (sources) => matches(script(sources), /catch(?: \([^)]*\))? \{\s*\}/, 'text'),
  },
  {
    sentence: 'a suppressed lint of Rust says its reason',
    find: (sources) =>
      matches(under(sources, 'crates/'), /#!?\[(?:allow|expect)\((?![^\]]*reason =)/),
  },
  {
    sentence: 'unsafe stands only in the modules that ARCHITECTURE.md names',
    find: (sources) => {
      const page = sources.find(({ path }) => path === 'ARCHITECTURE.md')?.text ?? ''
      const unnamed = under(sources, 'crates/').filter(
        ({ path }) => !path.includes('/tests/') && !page.includes(`\`${path}\``),
      )
      return matches(unnamed, /\bunsafe (?:\{|impl|fn|extern)/)
    },
  },
  {
    sentence:
      'a relative link in a page leads to a file, and so does every path of ARCHITECTURE.md',
    find: (sources) =>
      sources
        .filter(({ path }) => path.endsWith('.md'))
        .flatMap((page) => deadLinks(page, sources)),
  },
  {
    sentence:
      'each dependency stands in docs/design/dependencies.md with its reason, and no other does',
    find: (sources) => {
      const page = sources.find(({ path }) => path === 'docs/design/dependencies.md')
      const listed = page === undefined ? new Set<string>() : listedDependencies(page.text)
      const wanted = new Set(sources.flatMap(dependenciesOf))
      const missing = [...wanted]
        .filter((name) => !listed.has(name))
        .map((name) => `${name} has no row`)
      const unused = page === undefined ? [] : [...listed].filter((name) => !wanted.has(name))
      return [...missing, ...unused.map((name) => `${name} is no dependency`)]
    },
  },
  {
    sentence: 'the package, the crates and the platform packages have one version',
    find: (sources) => {
      const versions = sources.flatMap(({ path, text }) => {
        const isManifest =
          /^(?:package\.json|Cargo\.toml|crates\/\w+\/Cargo\.toml|npm\/[\w-]+\/package\.json)$/
        if (!isManifest.test(path)) return []
        const version = /^(?:version = |\s*"version": )"([^"]+)"/m.exec(text)?.[1] ?? 'none'
        return [{ path, version }]
      })
      const wanted = versions.find(({ path }) => path === 'package.json')?.version
      return versions
        .filter(({ version }) => version !== wanted)
        .map(({ path, version }) => `${path}: ${version}, package.json: ${wanted}`)
    },
  },
  {
    sentence: 'the dependencies on platform packages are written at pack time and never committed',
    find: (sources) =>
      sources
        .filter(
          ({ path, text }) => path === 'package.json' && text.includes('"optionalDependencies"'),
        )
        .map(({ path }) => path),
  },
]

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

function walk(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return SKIPPED_FOLDERS.includes(entry.name) ? [] : walk(path)
    return /^\.(?:ts|cts|mts|js|mjs|cjs|rs|c|md|json|toml)$/.test(extname(path)) ? [path] : []
  })
}

// Blanks comments and keeps the lines, so that a finding has its number. A `//` inside a string (an address) ends the
// line too early for the eye of a check, which no check here minds.
function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
}

function under(sources: readonly Source[], prefix: string): Source[] {
  return sources.filter(({ path }) => path.startsWith(prefix))
}

function typescript(sources: readonly Source[]): Source[] {
  return under(sources, 'ts/').filter(
    ({ path }) => !GENERATED.includes(path) && path.endsWith('.ts'),
  )
}

function script(sources: readonly Source[]): Source[] {
  return sources.filter(({ path }) => /\.(?:ts|mts|js|mjs|cjs)$/.test(path))
}

/** What is read as a program: examples are left out, they are written for people who copy them. */
function code(sources: readonly Source[]): Source[] {
  return sources.filter(
    ({ path }) => /\.(?:ts|cts|rs|c)$/.test(path) && !path.startsWith('examples/'),
  )
}

function headPattern(path: string): RegExp {
  if (path === 'build.rs') return /^/
  if (path.endsWith('.rs')) return /^\/\/!/
  return /^(?:#!.*\n)?(?:\/\/|\/\*)/
}

function matches(sources: readonly Source[], pattern: RegExp, field: 'code' | 'text' = 'code') {
  return sources.flatMap((source) => {
    const all = source[field].matchAll(new RegExp(pattern.source, 'gm'))
    return [...all].map((match) => {
      const line = source[field].slice(0, match.index).split('\n').length
      return `${source.path}:${line}: ${match[0].trim()}`
    })
  })
}

function settingNames(sources: readonly Source[]): string[] {
  const rows = sources
    .filter(({ path }) => isSection(path))
    .flatMap(({ code }) => [...code.matchAll(/^ {2}(\w+): \{/gm)])
  return rows.flatMap((row) => row[1] ?? [])
}

function isSection(path: string): boolean {
  return path.startsWith('ts/settings/sections/')
}

function deadLinks(page: Source, sources: readonly Source[]): string[] {
  const known = new Set(sources.map(({ path }) => path))
  const links = [...page.text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)]
  const named = /`((?:ts|crates|scripts|bench|npm|docs|__test__)\/[^`\s]*)`/g
  const paths = page.path === 'ARCHITECTURE.md' ? [...page.text.matchAll(named)] : []
  return [...links, ...paths].flatMap((match) => {
    const target = join(dirname(page.path), match[1] ?? '').replace(/\/$/, '')
    const isKnown = known.has(target) || existsSync(join(ROOT, target))
    return isKnown ? [] : [`${page.path}: ${match[1]}`]
  })
}

/** The lines of a file; tests at the end of a Rust module are a file of their own in all but name. */
function lineCount(text: string): number {
  const [own = ''] = text.split(/^#\[cfg\(test\)\]\nmod tests/m)
  return own.split('\n').length - 1
}

/** The first cells of the page's tables, before the one of what was left out. */
function listedDependencies(page: string): Set<string> {
  const [tables = ''] = page.split('## Considered')
  const cells = [...tables.matchAll(/^\| (`[^|]*`) \|/gm)].map((match) => match[1] ?? '')
  return new Set(
    cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')),
  )
}

function dependenciesOf({ path, text }: Source): string[] {
  if (path === 'package.json') {
    const { dependencies, devDependencies } = JSON.parse(text)
    return Object.keys({ ...dependencies, ...devDependencies })
  }
  if (!/^(?:crates\/\w+\/)?Cargo\.toml$/.test(path)) return []
  const sections = text
    .split(/^\[/m)
    .filter((section) => /^(?:dev-|build-)?dependencies\]/.test(section))
  const names = sections.flatMap((section) => [...section.matchAll(/^([\w-]+) = /gm)])
  return names.map((match) => match[1] ?? '').filter((name) => !name.startsWith('monoceros'))
}

if (isMain(import.meta.url)) process.exitCode = tidyAll().status
