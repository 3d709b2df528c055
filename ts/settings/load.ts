/**
 * Loads one file of JavaScript, TypeScript or JSON: the config file, and whatever settings name.
 */
import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

import type { JitiOptions } from 'jiti'

import { monocerosError } from '../errors.ts'

const require = createRequire(import.meta.url)

const CHECK_TIMEOUT_MS = 5000
/** For what settings name, which may ask a vault; an application has `boot_timeout`. */
const LOAD_TIMEOUT_MS = 30_000

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx'])

let loads = 0

/** Loads a module, whatever kind it is of, as an import does: once a process. */
export async function loadModule(path: string): Promise<unknown> {
  const url = pathToFileURL(path).href
  return TYPESCRIPT.has(extname(path)) ? loadTypeScript(path, { url }) : import(url)
}

/** The same, anew each time, and within a time: Node ends a start that waits for nothing else, without a word. */
export async function loadFreshModule(path: string, limitMs = LOAD_TIMEOUT_MS): Promise<unknown> {
  let cancel = () => {}
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      reject(monocerosError('ERR_MODULE_UNSETTLED', path, limitMs / 1_000))
    }, limitMs)
    cancel = () => clearTimeout(timer)
  })
  return Promise.race([importFresh(path), late]).finally(cancel)
}

async function importFresh(path: string): Promise<unknown> {
  loads += 1
  const url = `${pathToFileURL(path).href}?load=${loads}`
  // CommonJS modules are cached by their path, others by their URL. An old one stays in memory: a few KB a reload.
  delete require.cache[realpathSync(path)]
  if (!TYPESCRIPT.has(extname(path))) return import(url)
  return loadTypeScript(path, { url, moduleCache: false, fsCache: false })
}

interface TypeScriptOptions extends Pick<JitiOptions, 'moduleCache' | 'fsCache'> {
  readonly url: string
}

// By an import, which is Node's where it strips types and that is enough, and the loader's that the operator has
// registered (tsx, ts-node, swc-node); else compiled.
async function loadTypeScript(
  path: string,
  { url, ...caches }: TypeScriptOptions,
): Promise<unknown> {
  const type = packageType(path)
  if (type === 'commonjs') return compiled(path, { type, ...caches })
  let hasBegun = false
  try {
    return await importAndNotify(url, () => {
      hasBegun = true
    })
  } catch (error) {
    // Before any module has run, a second load does nothing twice. That is where Node 20 meets all TypeScript, and
    // later ones meet what compilers take: imports without an extension or with that of the output, types imported
    // like values, decorators, .tsx. Only CommonJS meets an enum later, at a require().
    if (!hasBegun || codeOf(error) === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
      return compiled(path, { type, ...caches })
    }
    throw error
  }
}

// Modules run in the order of their imports, after all have been found and linked (ECMA-262 section 16.2.1.6): a first
// one tells that the others' turn has come. It has no file and cannot import ours, so it tells by a channel of Node's.
async function importAndNotify(url: string, onBegin: () => void): Promise<unknown> {
  loads += 1
  const name = `monoceros.load.${loads}`
  const first = sourceUrl(
    `import { channel } from 'node:diagnostics_channel'; channel('${name}').publish(undefined)`,
  )
  const both = sourceUrl(`import '${first}'; import ${JSON.stringify(url)}`)
  subscribe(name, onBegin)
  try {
    await import(both)
  } finally {
    unsubscribe(name, onBegin)
  }
  return import(url)
}

function sourceUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source).replaceAll("'", '%27')}`
}

// In a package of "type": "commonjs" (what npm init writes) Node takes a .ts file for CommonJS, while people write
// import and export in it, as their compiler allows.
function packageType(path: string): string | undefined {
  if (!path.endsWith('.ts')) return undefined
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const manifest = join(directory, 'package.json')
    if (existsSync(manifest)) {
      return /"type"\s*:\s*"(\w+)"/.exec(readFileSync(manifest, 'utf8'))?.[1]
    }
    if (directory === dirname(directory)) return undefined
  }
}

interface CompiledOptions extends Pick<JitiOptions, 'moduleCache' | 'fsCache'> {
  readonly type: string | undefined
}

// Node has nothing for these extensions itself: what is there is a compiler of the operator's, which knows the
// project's tsconfig.json.
async function compiled(path: string, { type, ...caches }: CompiledOptions): Promise<unknown> {
  const isOthers = type !== 'module' && require.extensions[extname(path)] !== undefined
  return isOthers ? require(path) : loadByJiti(path, caches)
}

async function loadByJiti(
  path: string,
  caches: Pick<JitiOptions, 'moduleCache' | 'fsCache'>,
): Promise<unknown> {
  const { createJiti } = await import('jiti')
  const jsx = { runtime: 'automatic' } as const
  return createJiti(pathToFileURL(path).href, { ...caches, jsx, interopDefault: false }).import(
    path,
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** Reads JSON. */
export async function loadJson(path: string): Promise<unknown> {
  return parseJson(readFileSync(path, 'utf8'))
}

/** Text to a value. Editors put a byte order mark there, and RFC 8259 section 8.1 lets a reader pass over it. */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replace(/^\uFEFF/, ''))
}

/** One line that says why a file did not load, and where in it. */
export async function describeLoadError(error: unknown, path: string): Promise<string> {
  if (!(error instanceof Error)) return `it threw ${inspect(error)}`
  const [first = ''] = error.message.split('\n')
  // Some parsers repeat their name in the message.
  const text = /^\w*Error:/.test(first) ? first.trimEnd() : `${error.name}: ${first}`
  const line = lineIn(error.stack ?? '', path) ?? (await lineOfSyntaxError(error, path))
  return line === undefined ? text : `${text} (line ${line})`
}

function lineIn(stack: string, path: string): string | undefined {
  // A module's frames have the URL, with all but plain ASCII encoded.
  const names = [path, pathToFileURL(path).href]
  const places = names.flatMap((name) => stack.split(name).slice(1))
  return places
    .map((rest) => /^(?:\?[^:]*)?:(\d+)/.exec(rest)?.[1])
    .find((line) => line !== undefined)
}

// Node tells where a module's syntax is wrong only when it prints the error itself, so a second Node has to meet it.
async function lineOfSyntaxError(error: Error, path: string): Promise<string | undefined> {
  if (!(error instanceof SyntaxError)) return undefined
  if (path.endsWith('.json')) return lineOfPosition(error.message, path)
  const printed = await new Promise<string>((resolve) => {
    const args = ['--check', path]
    execFile(process.execPath, args, { timeout: CHECK_TIMEOUT_MS }, (_failed, _out, stderr) =>
      resolve(stderr),
    )
  })
  return lineIn(printed, path)
}

// Node 20 gives a position in the text, later ones a line as well.
function lineOfPosition(message: string, path: string): string | undefined {
  const position = /at position (\d+)$/.exec(message)?.[1]
  if (position === undefined) return undefined
  return String(readFileSync(path, 'utf8').slice(0, Number(position)).split('\n').length)
}
