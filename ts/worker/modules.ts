/**
 * Which files the application consists of, for `reload`: what it has loaded, and what it was about to load when it
 * failed. What lies in node_modules is not counted.
 */

import module from 'node:module'
import { isAbsolute, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { System } from '../process/system.ts'

/** Missing in the types of the oldest Node. */
interface ModuleWithResolveHooks {
  registerHooks?(hooks: {
    resolve(
      specifier: string,
      context: unknown,
      next: (specifier: string, context: unknown) => { url: string },
    ): { url: string }
  }): unknown
}

/** What is loaded together is told together. */
const REPORT_DELAY_MS = 50
/** How often CommonJS modules are looked for that have come later. */
const CACHE_SCAN_MS = 1_000

const OWN_PATH = fileURLToPath(new URL('../', import.meta.url))
const OWN_PACKAGE = fileURLToPath(new URL('../../package.json', import.meta.url))

export interface ModuleRecorder {
  /** Tells what is not told yet. */
  reportNewFiles(): void
}

/** Begins to listen; each file is told once. `isComplete` is false on a Node that does not say which ES modules it loads. */
export function recordModules(
  system: System,
  tell: (files: string[], isComplete: boolean) => void,
): ModuleRecorder {
  const known = new Set<string>()
  let fresh: string[] = []
  let told = false
  let cancel: (() => void) | undefined
  const { registerHooks } = module as ModuleWithResolveHooks
  const flush = () => {
    cancel?.()
    cancel = undefined
    for (const path of Object.keys(module.createRequire(import.meta.url).cache)) note(path)
    // The first time also when nothing is known, since that is worth knowing.
    if (fresh.length > 0 || !told) tell(fresh, registerHooks !== undefined)
    told = true
    fresh = []
  }
  const note = (path: string) => {
    if (known.has(path) || !isApplicationFile(path)) return
    known.add(path)
    fresh.push(path)
  }
  registerHooks?.({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context)
      if (resolved.url.startsWith('file:')) {
        note(fileURLToPath(resolved.url))
        cancel ??= system.after(REPORT_DELAY_MS, flush)
      }
      return resolved
    },
  })
  system.every(CACHE_SCAN_MS, flush)
  return { reportNewFiles: flush }
}

function isApplicationFile(path: string): boolean {
  return (
    isAbsolute(path) &&
    !path.includes(`${sep}node_modules${sep}`) &&
    !path.startsWith(OWN_PATH) &&
    path !== OWN_PACKAGE &&
    // Cached by name only.
    !path.endsWith('.node')
  )
}
