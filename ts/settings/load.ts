/**
 * Loads one file of JavaScript, TypeScript or JSON, anew each time it is asked to.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

const require = createRequire(import.meta.url)

const CHECK_TIMEOUT_MS = 5000

let loads = 0

/** Loads JavaScript by Node itself, whatever kind of module it is. */
export async function loadModule(path: string): Promise<unknown> {
  // CommonJS modules are cached by their path, others by their URL. An old one stays in memory: a few KB a reload.
  delete require.cache[realpathSync(path)]
  loads += 1
  return import(`${pathToFileURL(path).href}?load=${loads}`)
}

/** Loads TypeScript by Node itself where it strips types and understands the file, else by jiti. */
export async function loadTypeScript(path: string): Promise<unknown> {
  const strips = 'typescript' in process.features && Boolean(process.features.typescript)
  if (!strips || isCommonJsByPackage(path)) return loadByJiti(path)
  try {
    return await loadModule(path)
  } catch (error) {
    if (BEYOND_STRIPPING.includes(codeOf(error))) return loadByJiti(path)
    throw error
  }
}

// What is more than types (enum, namespace), and imports without an extension, as compilers take them.
const BEYOND_STRIPPING: readonly unknown[] = [
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_INVALID_TYPESCRIPT_SYNTAX',
  'ERR_MODULE_NOT_FOUND',
]

// In a package of "type": "commonjs" (what npm init writes) Node takes a .ts file for CommonJS, while people write
// import and export in it, as their compiler allows.
function isCommonJsByPackage(path: string): boolean {
  if (!path.endsWith('.ts')) return false
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const manifest = join(directory, 'package.json')
    if (existsSync(manifest)) return /"type"\s*:\s*"commonjs"/.test(readFileSync(manifest, 'utf8'))
    if (directory === dirname(directory)) return false
  }
}

/** Reads JSON. */
export async function loadData(path: string): Promise<unknown> {
  return parseData(readFileSync(path, 'utf8'))
}

/** Text to a value. Editors put a byte order mark there, and RFC 8259 section 8.1 lets a reader pass over it. */
export function parseData(text: string): unknown {
  return JSON.parse(text.replace(/^\uFEFF/, ''))
}

/** One line that says why a file did not load, and where in it. */
export async function explainFailure(error: unknown, path: string): Promise<string> {
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

async function loadByJiti(path: string): Promise<unknown> {
  const { createJiti } = await import('jiti')
  return createJiti(path, { moduleCache: false, fsCache: false, interopDefault: false }).import(
    path,
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
