/**
 * State that an arbiter passes to one that it starts: its process id, the listening sockets by
 * descriptor, and the totals. The environment variable MONOCEROS_HANDOVER carries it as JSON. It is
 * removed before anything else reads the environment. The field names are stable, because the two
 * arbiters can be of different versions.
 */

import type { ScoreboardTotals } from '../scoreboard/board.ts'
import type { InheritedExtraListener } from './extra-listeners.ts'
import type { LifecycleTotals } from './monitoring/lifecycle-counters.ts'

/** Name of the environment variable. */
export const UPGRADE_STATE_VARIABLE = 'MONOCEROS_HANDOVER'

/** A listening socket that an arbiter passes on. */
export interface InheritedListener {
  readonly fd: number
  /**
   * Text of the setting, or `fd://3` for a socket of systemd. The new arbiter matches its own
   * settings with it.
   */
  readonly bind: string
  /** File of a unix socket. The last arbiter that uses the socket removes it. */
  readonly path?: string
}

/** State that one arbiter passes to the next. */
export interface UpgradeState {
  /**
   * `upgrade` for a new arbiter beside this one, `daemon` for the same program in the background.
   */
  readonly kind: 'upgrade' | 'daemon'
  /** Process id of the sender. */
  readonly pid: number
  readonly listeners: readonly InheritedListener[]
  /** True if systemd has opened the sockets; `bind` is not used then. */
  readonly activated: boolean
  /** Extra listeners of the application. */
  readonly further?: readonly InheritedExtraListener[]
  readonly totals?: ScoreboardTotals
  /** Shared page of the scoreboard, which the workers of the sender still write. */
  readonly scoreboard?: { readonly fd: number; readonly slots: number }
  /** Listening socket of `metrics_bind`. */
  readonly metrics?: InheritedListener
  /** Counters of the arbiter itself. */
  readonly lifecycle?: LifecycleTotals
}

/** Takes the state out of the environment. Returns undefined if there is none. */
export function takeUpgradeState(env: NodeJS.ProcessEnv): UpgradeState | undefined {
  const text = env[UPGRADE_STATE_VARIABLE]
  delete env[UPGRADE_STATE_VARIABLE]
  if (text === undefined) return undefined
  try {
    const state: UpgradeState = JSON.parse(text)
    return state
  } catch {
    // The variable does not come from an arbiter, so there is no state.
    return undefined
  }
}

/** Returns the environment of the new arbiter. */
export function createUpgradeEnvironment(
  env: NodeJS.ProcessEnv,
  state: UpgradeState,
): NodeJS.ProcessEnv {
  const { WATCHDOG_PID: _watched, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, ...rest } = env
  return { ...rest, [UPGRADE_STATE_VARIABLE]: JSON.stringify(state) }
}
