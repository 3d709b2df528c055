/** A generation: one reading of the settings with the sockets they name. A reload makes a new one beside the old. */

import { type Listener, openListener } from '../listen/socket.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'

export interface Generation {
  readonly number: number
  readonly config: Config
  readonly listeners: readonly Listener[]
}

/** Opens the addresses that the earlier generation has not; the others are shared with it. */
export type OpenGeneration = (
  resolved: ResolvedConfig,
  earlier: Generation | undefined,
) => Promise<Generation>

/** Opens real sockets; after a failure none of those opened for this generation stays open. */
export function generationOpener(context: { system: System; log: Logger }): OpenGeneration {
  return async ({ values: config }, earlier) => {
    const kept = earlier?.listeners ?? []
    const opened: Listener[] = []
    const listeners: Listener[] = []
    try {
      for (const bind of config.bind) {
        const known = kept.find((listener) => listener.bind === bind)
        const listener = known ?? (await openListener(context, bind, listenOptions(config)))
        if (known === undefined) opened.push(listener)
        listeners.push(listener)
      }
    } catch (error) {
      for (const listener of opened) listener.close()
      throw error
    }
    return { number: (earlier?.number ?? 0) + 1, config, listeners }
  }
}

/** Closes what one generation has and another has not. */
export function closeExcept(generation: Generation, kept: Generation | undefined): void {
  for (const listener of generation.listeners) {
    if (kept?.listeners.includes(listener) !== true) listener.close()
  }
}

function listenOptions({ backlog, reuse_port, chdir }: Config) {
  return { backlog, reusePort: reuse_port, chdir }
}
