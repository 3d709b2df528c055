/** What a worker does for whoever develops the application: with `reload`, and under a debugger. */

import inspector from 'node:inspector'

import type { Target } from '../engine/engine.ts'
import type { MonocerosError } from '../errors.ts'
import type { WorkerMessage } from '../messages.ts'
import { resolveInspectAddress } from '../process/inspect.ts'
import type { System } from '../process/system.ts'
import { createFailureServer, explainFailure } from './failure-page.ts'
import { recordModules } from './modules.ts'

export interface DevelopmentMode {
  /** Tells the arbiter what has been loaded so far. */
  reportLoadedFiles(): void
  /** What is served in the place of an application that does not load, once. */
  createFailureTarget(error: MonocerosError): Promise<Target> | undefined
}

/** Begins to record which modules are loaded. */
export function startDevelopmentMode(
  system: System,
  send: (message: WorkerMessage) => void,
): DevelopmentMode {
  const all: string[] = []
  const record = recordModules(system, (files, isComplete) => {
    all.push(...files)
    send({ type: 'loaded', files, isComplete })
  })
  let excused = false
  return {
    reportLoadedFiles: () => record.reportNewFiles(),
    createFailureTarget(error) {
      if (excused) return undefined
      excused = true
      record.reportNewFiles()
      // The application's own file is there even if nothing was recorded.
      return explainFailure(error, [...all, process.argv[1] ?? '']).then((failure) => {
        // What it did not come to load is not known: any file may be the one that mends it.
        send({ type: 'loaded', files: [], isComplete: false, failure })
        return createFailureServer(failure)
      })
    },
  }
}

/** Waits until a debugger is there, and stops before the application is loaded. */
export function waitForDebugger(address: string, slot: number): void {
  const { host, port } = resolveInspectAddress(address, slot)
  // Whoever connects finds it waiting: a debugger that comes before would let it run on.
  inspector.open(port, host, true)
  if (inspector.url() === undefined) return
  // biome-ignore lint/suspicious/noDebugger: it is asked for. The next step leads into the application.
  debugger
}
