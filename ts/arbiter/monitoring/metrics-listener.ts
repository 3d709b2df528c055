/** The listening socket of `metrics_bind`. Like those of `bind` it stays open over reloads. */

import { unlinkSync } from 'node:fs'

import {
  adoptListener,
  findListener,
  type Listener,
  type ListenOptions,
  openListener,
} from '../../listen/socket.ts'
import type { Logger } from '../../log/logger.ts'
import { native } from '../../native/index.ts'
import type { System } from '../../process/system.ts'
import type { Config } from '../../settings/config.ts'
import type { InheritedListener } from '../upgrade-state.ts'

/** Returns the listener of `metrics_bind`: the one that is open already, or a new one. */
export async function openMetricsListener(
  context: { system: System; log: Logger },
  { metrics_bind: bind }: Config,
  { options, known }: { options: ListenOptions; known: readonly Listener[] },
): Promise<Listener | undefined> {
  if (bind === null) return undefined
  const same = await findListener(known, bind, options)
  if (same !== undefined) return { ...same, bind }
  return ownedByServer(await openListener({ ...context, ownListeners: known }, bind, options))
}

/** Adopts the socket that an older arbiter has passed on. */
export function adoptMetricsListener(
  inherited: InheritedListener | undefined,
  options: ListenOptions,
): Listener[] {
  return inherited === undefined ? [] : [ownedByServer(adoptListener(inherited, options))]
}

/**
 * Returns the descriptor for a server, which closes it. It is a second one of the same socket, so
 * that another server can listen later.
 */
export function descriptorForServer({ fd }: Listener, backlog: number): number {
  return native === null ? fd : native.listenOn(fd, backlog)
}

// Without the addon the server owns the only descriptor.
function ownedByServer(listener: Listener): Listener {
  if (native !== null) return listener
  const { socketFile } = listener
  return {
    ...listener,
    close({ unlink }) {
      if (unlink && socketFile !== undefined) unlinkSync(socketFile)
    },
  }
}
