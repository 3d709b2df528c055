/**
 * V8's compile cache (Node 22.1 and newer): what is compiled once, by any process of the user, is read from a file the
 * next time. It must be turned on before the modules that shall profit are loaded.
 */

import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Missing in the types of the oldest Node. */
interface CompileCache {
  enableCompileCache?(directory?: string): unknown
  flushCompileCache?(): void
}

/**
 * In the user's own cache directory: Node's default below /tmp can be made by anybody before us. Where it cannot be
 * written there is no cache, and nothing else changes. NODE_COMPILE_CACHE and NODE_DISABLE_COMPILE_CACHE are Node's.
 */
export function enableCompileCache(): void {
  const { enableCompileCache: enable } = module as CompileCache
  const { XDG_CACHE_HOME, NODE_COMPILE_CACHE } = process.env
  if (enable === undefined || NODE_COMPILE_CACHE !== undefined) return
  enable(join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'monoceros'))
}

/** Writes what this process has compiled now: a worker would else do it at its end, which may be far. */
export function flushCompileCache(): void {
  const { flushCompileCache: flush } = module as CompileCache
  flush?.()
}
