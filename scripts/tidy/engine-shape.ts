// The shape of the engine crate: how far its modules import each other in circles, how many fields
// a struct has, and in how many files the methods of a type are.

import { type Check, type Source, under } from './sources.ts'

const ENGINE = 'crates/engine/src/'
const MAX_CIRCLE = 8
const MAX_FIELDS = 20
const MAX_IMPL_FILES = 3

export const ENGINE_SHAPE: readonly Check[] = [
  {
    sentence: `at most ${MAX_CIRCLE} modules of the engine import each other in a circle`,
    find: (sources) =>
      circles(importsOf(sources))
        .filter((modules) => modules.length > MAX_CIRCLE)
        .map((modules) => `${modules.length} modules: ${modules.toSorted().join(', ')}`),
  },
  {
    sentence: `a struct of the engine has at most ${MAX_FIELDS} fields`,
    find: (sources) =>
      engineSources(sources).flatMap(({ path, code }) =>
        [...code.matchAll(/\bstruct (\w+)[^{;(]*\{([^}]*)\}/g)]
          .map(([, name, body = '']) => ({
            name,
            count: body.match(/^\s+[^:]*?\w+:/gm)?.length ?? 0,
          }))
          .filter(({ count }) => count > MAX_FIELDS)
          .map(({ name, count }) => `${path}: ${name} has ${count} fields`),
      ),
  },
  {
    sentence: `the methods of a type of the engine are in at most ${MAX_IMPL_FILES} files`,
    find: (sources) => {
      const files = new Map<string, Set<string>>()
      for (const { path, code } of engineSources(sources)) {
        for (const [, name = ''] of code.matchAll(/^impl(?:<[^{]*?>)? (?:[^{]* for )?(\w+)/gm)) {
          files.set(name, (files.get(name) ?? new Set()).add(path))
        }
      }
      return [...files]
        .filter(([, paths]) => paths.size > MAX_IMPL_FILES)
        .map(([name, paths]) => `${name}: ${[...paths].join(', ')}`)
    },
  },
]

/** The engine's own code, without unit tests. */
function engineSources(sources: readonly Source[]): Source[] {
  return under(sources, ENGINE)
    .filter(({ path }) => !path.endsWith('/tests.rs'))
    .map((source) => ({ ...source, code: source.code.split(/^#\[cfg\(test\)\]\nmod /m)[0] ?? '' }))
}

/** The modules that each module names in a path. */
function importsOf(sources: readonly Source[]): Map<string, Set<string>> {
  const code = new Map(engineSources(sources).map((one) => [moduleOf(one.path), one.code]))
  const nearest = (path: readonly string[]): string | undefined => {
    const ends = path.map((_, index) => path.slice(0, path.length - index).join('::'))
    return ends.find((end) => code.has(end))
  }
  return new Map(
    [...code].map(([module, text]) => {
      const own = module.split('::')
      const found = pathsIn(text).flatMap((path) => {
        const steps = path.filter((step) => step === 'super').length
        const from = path[0] === 'crate' ? [] : own.slice(0, own.length - steps)
        const target = nearest([...from, ...path.filter((step) => !ROOTS.has(step))])
        return target === undefined || target === module ? [] : [target]
      })
      return [module, new Set(found)]
    }),
  )
}

const ROOTS: ReadonlySet<string> = new Set(['crate', 'super', 'self'])

/** `server/connection/state.rs` is `server::connection::state`, `guard/mod.rs` is `guard`. */
function moduleOf(path: string): string {
  return path
    .slice(ENGINE.length, -'.rs'.length)
    .replace(/\/mod$/, '')
    .replaceAll('/', '::')
}

/** Every path of a text that begins in the crate, and those of `use` that begin with a child. */
function pathsIn(text: string): string[][] {
  const uses = [...text.matchAll(/\buse ([^;]+);/g)].flatMap(([, tree = '']) => branches(tree))
  const direct = [...text.matchAll(/\b(?:crate|super|self)(?:::\w+)+/g)].map(([path]) => path)
  return [...uses, ...direct].map((path) => path.split('::').map((step) => step.trim()))
}

/** The paths of a `use` tree: `a::{b, c::d}` has `a::b` and `a::c::d`. */
function branches(tree: string): string[] {
  const open = tree.indexOf('{')
  if (open < 0) return [tree.replace(/ as .*/s, '')]
  const inner = tree.slice(open + 1, tree.lastIndexOf('}'))
  const parts: string[] = []
  let depth = 0
  let part = ''
  for (const character of `${inner},`) {
    if (character === '{') depth += 1
    if (character === '}') depth -= 1
    if (character === ',' && depth === 0) {
      if (part.trim() !== '') parts.push(part)
      part = ''
    } else {
      part += character
    }
  }
  return parts.flatMap((each) => branches(`${tree.slice(0, open)}${each.trim()}`))
}

/** The sets of modules that reach each other: the strongly connected components of the imports. */
function circles(imports: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const reached = new Map([...imports.keys()].map((module) => [module, reachable(imports, module)]))
  const seen = new Set<string>()
  const found: string[][] = []
  for (const [module, targets] of reached) {
    if (seen.has(module)) continue
    const circle = [...targets].filter((target) => reached.get(target)?.has(module))
    for (const each of circle) seen.add(each)
    if (circle.length > 1) found.push(circle)
  }
  return found
}

/** The modules that a module reaches over one import or more. */
function reachable(
  imports: ReadonlyMap<string, ReadonlySet<string>>,
  module: string,
): ReadonlySet<string> {
  const found = new Set<string>()
  const left = [...(imports.get(module) ?? [])]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (found.has(next)) continue
    found.add(next)
    left.push(...(imports.get(next) ?? []))
  }
  return found
}
