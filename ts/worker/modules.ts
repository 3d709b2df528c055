/**
 * Records the files that the application consists of, for the setting `reload`: those that it has
 * loaded, and the one that it was loading when it failed. Files in node_modules are left out.
 */

import module from 'node:module'
import { isAbsolute, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { System } from '../process/system.ts'

/** `module.registerHooks` is missing in Node 20 and in its types. */
type RegisterResolveHook = (hooks: {
  resolve(
    specifier: string,
    context: unknown,
    next: (specifier: string, context: unknown) => { url: string },
  ): { url: string }
}) => unknown

/** Delay of a report: modules that are loaded together are reported together. */
const REPORT_DELAY_MS = 50
/** Interval of the search for CommonJS modules that were loaded later. */
const CACHE_SCAN_MS = 1_000

const OWN_PATH = fileURLToPath(new URL('../', import.meta.url))
const OWN_PACKAGE = fileURLToPath(new URL('../../package.json', import.meta.url))

/** A running record of loaded files. */
export interface ModuleRecorder {
  /** Reports, at once, the files that have not been reported yet. */
  reportNewFiles(): void
}

/**
 * Starts to record; `report` gets each file once. `isComplete` is false on Node 20, which has no
 * hook that reports ES modules.
 */
export function recordModules(
  system: System,
  report: (files: string[], isComplete: boolean) => void,
): ModuleRecorder {
  const known = new Set<string>()
  let unreported: string[] = []
  let hasReported = false
  let cancel: (() => void) | undefined
  const registerHooks: RegisterResolveHook | undefined = Reflect.get(module, 'registerHooks')
  const flush = () => {
    cancel?.()
    cancel = undefined
    for (const path of Object.keys(module.createRequire(import.meta.url).cache)) note(path)
    // The first report is sent even if it is empty: `isComplete` matters to the arbiter.
    if (unreported.length > 0 || !hasReported) report(unreported, registerHooks !== undefined)
    hasReported = true
    unreported = []
  }
  const note = (path: string) => {
    if (known.has(path) || !isApplicationFile(path)) return
    known.add(path)
    unreported.push(path)
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
    // The module cache holds an addon by its name only; its code cannot be loaded again.
    !path.endsWith('.node')
  )
}
