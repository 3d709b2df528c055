/**
 * What an arbiter gives to one that it starts: who it is, the listening sockets by their descriptors, what has been
 * counted. It travels in the variable MONOCEROS_HANDOVER, which nobody else ever sees: it is taken out of the
 * environment before anything else reads that.
 */

import type { ScoreboardTotals } from '../scoreboard/board.ts'
import type { InheritedExtraListener } from './extra-listeners.ts'

export const UPGRADE_STATE_VARIABLE = 'MONOCEROS_HANDOVER'

/** A listening socket on its way. */
export interface InheritedListener {
  readonly fd: number
  /** The text of the setting, or `fd://3` for systemd's third descriptor: the new arbiter finds its own by it. */
  readonly bind: string
  /** The file of a unix socket that goes with the last arbiter that has it. */
  readonly path?: string
}

export interface UpgradeState {
  /** To a new arbiter beside this one, or to the same one in the background. */
  readonly kind: 'upgrade' | 'daemon'
  /** Who hands over. */
  readonly pid: number
  readonly listeners: readonly InheritedListener[]
  /** systemd has opened the sockets: `bind` does not count. */
  readonly activated: boolean
  /** Of programs' further servers. */
  readonly further?: readonly InheritedExtraListener[]
  readonly totals?: ScoreboardTotals
}

/** Takes the handover out of the environment; undefined in a process that was started by anybody else. */
export function takeUpgradeState(env: NodeJS.ProcessEnv): UpgradeState | undefined {
  const text = env[UPGRADE_STATE_VARIABLE]
  delete env[UPGRADE_STATE_VARIABLE]
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as UpgradeState
  } catch {
    // Not from us: then nothing has been handed over.
    return undefined
  }
}

/** The environment for who takes over. */
export function upgradeEnvironment(
  env: NodeJS.ProcessEnv,
  handover: UpgradeState,
): NodeJS.ProcessEnv {
  const { WATCHDOG_PID: _watched, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, ...rest } = env
  return { ...rest, [UPGRADE_STATE_VARIABLE]: JSON.stringify(handover) }
}
