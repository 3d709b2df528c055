// The invariants of ARCHITECTURE.md and of CONTRIBUTING.md that the sources alone can show.

import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ROOT } from '../command.ts'
import {
  type Check,
  code,
  GENERATED,
  headPattern,
  matches,
  type Source,
  script,
  typescript,
  under,
} from './sources.ts'

const MAX_LINES = 400
const MAX_MEDIAN_LINES = 120
/**
 * The ring asks for the time on the hot path, once or more a request: through an interface that
 * would cost.
 */
const SYSTEM = ['ts/process/system.ts', 'ts/engine/native/ring.ts']
/**
 * The page of all settings is prose round the table, and names a few of them; Node has flags of the
 * same name.
 */
const NAMING_FLAGS = ['ts/settings/settings-page.ts', 'ts/process/inspect.ts']

export const INVARIANTS: readonly Check[] = [
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
    sentence: `no source exceeds ${MAX_LINES} lines, and half of ts/ is within ${MAX_MEDIAN_LINES}`,
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
    sentence: 'every source outside the tests opens with a comment that describes it',
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
    sentence: 'a suppressed lint of Rust has its reason',
    find: (sources) =>
      matches(under(sources, 'crates/'), /#!?\[(?:allow|expect)\((?![^\]]*reason =)/),
  },
  {
    sentence: 'unsafe is only in the modules that ARCHITECTURE.md names',
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
    sentence: 'docs/design/dependencies.md lists each dependency with its reason, and nothing else',
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

/**
 * The lines of a file; tests at the end of a Rust module are a file of their own in all but name.
 */
function lineCount(text: string): number {
  const [own = ''] = text.split(/^#\[cfg\(test\)\]\nmod tests/m)
  return own.split('\n').length - 1
}

/** The names that the entries of the page begin with, before the list of what was rejected. */
function listedDependencies(page: string): Set<string> {
  const [lists = ''] = page.split('## Considered')
  const entries = [...lists.matchAll(/^- ((?:`[^`]+`(?:,\s+)?)+)/gm)].map((match) => match[1] ?? '')
  return new Set(
    entries.flatMap((entry) => [...entry.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')),
  )
}

function dependenciesOf({ path, text }: Source): string[] {
  if (path === 'package.json' || path === 'site/package.json') {
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
