/**
 * Loads one file of JavaScript, TypeScript or JSON: the config file or a file that a setting names.
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
/**
 * The time limit for a file of settings, which may query a vault. Applications have `boot_timeout`.
 */
const LOAD_TIMEOUT_MS = 30_000

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx'])

/** Makes the URL of each load unique. */
let loadCount = 0

/** Loads a module of any format as an import does: a second call returns the same module. */
export async function loadModule(path: string): Promise<unknown> {
  const url = pathToFileURL(path).href
  return TYPESCRIPT.has(extname(path)) ? importOrCompile(path, { url }) : import(url)
}

/**
 * Loads a module anew at each call. The time limit is needed because Node exits silently if a
 * top-level await is all that it waits for.
 */
export async function loadFreshModule(path: string, timeoutMs = LOAD_TIMEOUT_MS): Promise<unknown> {
  let cancel = () => {}
  const timedOut = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      reject(monocerosError('ERR_MODULE_UNSETTLED', path, timeoutMs / 1_000))
    }, timeoutMs)
    cancel = () => clearTimeout(timer)
  })
  return Promise.race([importFresh(path), timedOut]).finally(cancel)
}

async function importFresh(path: string): Promise<unknown> {
  loadCount += 1
  const url = `${pathToFileURL(path).href}?load=${loadCount}`
  // CommonJS modules are cached by path, ES modules by URL. The old ES module stays in memory,
  // which costs a few KB per reload.
  delete require.cache[realpathSync(path)]
  if (!TYPESCRIPT.has(extname(path))) return import(url)
  return importOrCompile(path, { url, moduleCache: false, fsCache: false })
}

interface TypeScriptOptions extends Pick<JitiOptions, 'moduleCache' | 'fsCache'> {
  readonly url: string
}

// First tries an import: Node strips types itself, or a loader that the operator has registered
// (tsx, ts-node, swc-node) compiles the file. If neither can, jiti compiles it.
async function importOrCompile(
  path: string,
  { url, ...caches }: TypeScriptOptions,
): Promise<unknown> {
  const type = packageType(path)
  if (type === 'commonjs') return loadCompiled(path, { type, ...caches })
  let hasBegun = false
  try {
    return await importAndNotify(url, () => {
      hasBegun = true
    })
  } catch (error) {
    // Before any module has run, a second load has no side effects twice. Node 20 fails here for
    // all TypeScript. Later versions fail here for code that only compilers accept: imports without
    // an extension or with that of the output, types imported as values, decorators, .tsx. Only an
    // enum in CommonJS fails later, at a require().
    if (!hasBegun || codeOf(error) === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
      return loadCompiled(path, { type, ...caches })
    }
    throw error
  }
}

// Modules run in the order of their imports, after all of them have been found and linked (ECMA-262
// section 16.2.1.6). So a module that is imported first reports that the evaluation begins. It is a
// data: URL, which cannot import our files, so it reports through a diagnostics channel.
async function importAndNotify(url: string, onBegin: () => void): Promise<unknown> {
  loadCount += 1
  const name = `monoceros.load.${loadCount}`
  const notifier = dataUrl(
    `import { channel } from 'node:diagnostics_channel'; channel('${name}').publish(undefined)`,
  )
  const both = dataUrl(`import '${notifier}'; import ${JSON.stringify(url)}`)
  subscribe(name, onBegin)
  try {
    await import(both)
  } finally {
    unsubscribe(name, onBegin)
  }
  return import(url)
}

function dataUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source).replaceAll("'", '%27')}`
}

// Returns the "type" of the package of a .ts file. In a package of "type": "commonjs", which `npm
// init` writes, Node treats a .ts file as CommonJS. People use import and export in it all the
// same, as their compiler allows.
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

interface CompilerOptions extends Pick<JitiOptions, 'moduleCache' | 'fsCache'> {
  readonly type: string | undefined
}

// Prefers a compiler that the operator has registered in `require.extensions`, since it reads the
// tsconfig.json of the project. Node itself registers nothing for these extensions.
async function loadCompiled(path: string, { type, ...caches }: CompilerOptions): Promise<unknown> {
  const hasCompiler = type !== 'module' && require.extensions[extname(path)] !== undefined
  return hasCompiler ? require(path) : loadByJiti(path, caches)
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

/** Loads a JSON file. */
export async function loadJson(path: string): Promise<unknown> {
  return parseJson(readFileSync(path, 'utf8'))
}

/**
 * Parses JSON. A byte order mark, which some editors write, is skipped, as RFC 8259 section 8.1
 * permits.
 */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replace(/^\uFEFF/, ''))
}

/** Describes in one line why a file did not load, with the line number if it is known. */
export async function describeLoadError(error: unknown, path: string): Promise<string> {
  if (!(error instanceof Error)) return `it threw ${inspect(error)}`
  const [first = ''] = error.message.split('\n')
  // The messages of some parsers already begin with the name of the error.
  const text = /^\w*Error:/.test(first) ? first.trimEnd() : `${error.name}: ${first}`
  const line = findLine(error.stack ?? '', path) ?? (await findLineOfSyntaxError(error, path))
  return line === undefined ? text : `${text} (line ${line})`
}

function findLine(stack: string, path: string): string | undefined {
  // Frames of ES modules have the URL of the file, with other characters than ASCII encoded.
  const names = [path, pathToFileURL(path).href]
  const matches = names.flatMap((name) => stack.split(name).slice(1))
  return matches
    .map((rest) => /^(?:\?[^:]*)?:(\d+)/.exec(rest)?.[1])
    .find((line) => line !== undefined)
}

// Node reports the position of a syntax error in a module only when it prints the error itself. So
// a second Node process checks the file.
async function findLineOfSyntaxError(error: Error, path: string): Promise<string | undefined> {
  if (!(error instanceof SyntaxError)) return undefined
  if (path.endsWith('.json')) return findLineOfPosition(error.message, path)
  const printed = await new Promise<string>((resolve) => {
    const args = ['--check', path]
    execFile(process.execPath, args, { timeout: CHECK_TIMEOUT_MS }, (_failed, _out, stderr) =>
      resolve(stderr),
    )
  })
  return findLine(printed, path)
}

// Node 20 reports only the position in the text, later versions also the line.
function findLineOfPosition(message: string, path: string): string | undefined {
  const position = /at position (\d+)$/.exec(message)?.[1]
  if (position === undefined) return undefined
  return String(readFileSync(path, 'utf8').slice(0, Number(position)).split('\n').length)
}
