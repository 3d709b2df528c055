/**
 * V8's compile cache (Node 22.1 and newer): code that any process of the user has compiled is read
 * from a file the next time. It must be enabled before the modules that benefit are loaded.
 */

import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** These functions are missing in the types of the oldest supported Node. */
interface CompileCache {
  enableCompileCache?(directory?: string): unknown
  flushCompileCache?(): void
}

/**
 * Enables the cache in the user's own cache directory. Node's default is a path below /tmp, which
 * another user could create first. Without a writable directory there is no cache, and nothing else
 * changes. Node itself reads NODE_COMPILE_CACHE and NODE_DISABLE_COMPILE_CACHE.
 */
export function enableCompileCache(): void {
  const enable: CompileCache['enableCompileCache'] = Reflect.get(module, 'enableCompileCache')
  const { XDG_CACHE_HOME, NODE_COMPILE_CACHE } = process.env
  if (enable === undefined || NODE_COMPILE_CACHE !== undefined) return
  enable(join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'monoceros'))
}

/**
 * Writes the code that this process has compiled so far. Node would write it only at exit, which
 * may be far away.
 */
export function flushCompileCache(): void {
  const flush: CompileCache['flushCompileCache'] = Reflect.get(module, 'flushCompileCache')
  flush?.()
}
