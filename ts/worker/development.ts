/** Support for developers of the application: the settings `reload` and `inspect_brk`. */

import inspector from 'node:inspector'

import type { Target } from '../engine/engine.ts'
import type { MonocerosError } from '../errors.ts'
import type { WorkerMessage } from '../messages.ts'
import { resolveInspectAddress } from '../process/inspect.ts'
import type { System } from '../process/system.ts'
import { createFailureServer } from './failure-page.ts'
import { recordModules } from './modules.ts'

/** What a worker does for the setting `reload`. */
export interface DevelopmentMode {
  /** Reports the files that have been loaded since the last report to the arbiter. */
  reportLoadedFiles(): void
  /**
   * Creates a server that shows why the application does not load; undefined from the second call
   * on.
   */
  createFailureTarget(error: MonocerosError): Target | undefined
}

/** Starts to record and report which modules are loaded (setting `reload`). */
export function startDevelopmentMode(
  system: System,
  send: (message: WorkerMessage) => void,
): DevelopmentMode {
  const record = recordModules(system, (files, isComplete) =>
    send({ type: 'loaded', files, isComplete }),
  )
  let hasFailed = false
  return {
    reportLoadedFiles: () => record.reportNewFiles(),
    createFailureTarget({ message: failure }) {
      if (hasFailed) return undefined
      hasFailed = true
      record.reportNewFiles()
      // Modules after the failure are unknown, so a change of any file is a reason to load again.
      send({ type: 'loaded', files: [], isComplete: false, failure })
      return createFailureServer(failure)
    },
  }
}

/**
 * Waits until a debugger has connected, then stops before the application is loaded (setting
 * `inspect_brk`).
 */
export function waitForDebugger(address: string, slot: number): void {
  const { host, port } = resolveInspectAddress(address, slot)
  // `true` waits for a debugger. Without it, one that connects early finds the program running.
  inspector.open(port, host, true)
  if (inspector.url() === undefined) return
  // The setting asks for this stop; the next step enters the application.
  // biome-ignore lint/suspicious/noDebugger: `inspect_brk` asks for it.
  debugger
}
