/**
 * Loads one file of JavaScript, TypeScript or JSON, anew each time it is asked to.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(import.meta.url)

let loads = 0

/** Loads JavaScript by Node itself, whatever kind of module it is. */
export async function loadModule(path: string): Promise<unknown> {
  // CommonJS modules are cached by their path, others by their URL. An old one stays in memory: a few KB a reload.
  delete require.cache[realpathSync(path)]
  loads += 1
  return import(`${pathToFileURL(path).href}?load=${loads}`)
}

/** Loads TypeScript by Node itself where it strips types, else by jiti. */
export async function loadTypeScript(path: string): Promise<unknown> {
  if (!('typescript' in process.features) || !process.features.typescript) return loadByJiti(path)
  try {
    return await loadModule(path)
  } catch (error) {
    // What is more than types (enum, namespace) Node does not compile.
    if (codeOf(error) === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return loadByJiti(path)
    throw error
  }
}

/** Reads JSON. */
export async function loadData(path: string): Promise<unknown> {
  return JSON.parse(readFileSync(path, 'utf8'))
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
