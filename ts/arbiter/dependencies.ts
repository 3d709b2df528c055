/** Everything that an arbiter uses besides the operating system. Tests pass their own. */

import type { SystemdNotifier } from '../listen/systemd.ts'
import type { Logger } from '../log/logger.ts'
import type { ParentChannel, Program } from '../process/system.ts'
import type { ArbiterScoreboard } from '../scoreboard/board.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import type { EventQueue } from './events.ts'
import type { InheritedExtraListener } from './extra-listeners.ts'
import type { OpenGeneration } from './generation.ts'
import type { ArbiterHooks } from './hooks.ts'
import type { LifecycleTotals } from './monitoring/lifecycle-counters.ts'
import type { OpenSourceWatch } from './source-watch.ts'
import type { TitleAndPidfileDependencies } from './title-and-pidfile.ts'

/** Dependencies of the arbiter and its collaborators. */
export interface ArbiterDependencies extends TitleAndPidfileDependencies {
  /** Queue that already receives the signals of this process as events. */
  readonly queue: EventQueue
  readonly settings: ResolvedConfig
  /** Reads the settings again; called for each reload. */
  readonly loadSettings: () => Promise<ResolvedConfig>
  readonly openGeneration: OpenGeneration
  readonly scoreboard: ArbiterScoreboard
  readonly log: Logger
  readonly notifier: SystemdNotifier
  readonly hooks: ArbiterHooks
  /**
   * Creates the log files and gives them to the user of the workers. Called again after `logrotate`
   * has moved them.
   */
  readonly prepareLogs: (config: Config) => void
  /** Opens the file watcher of the setting `reload`. */
  readonly openSourceWatch: OpenSourceWatch
  /**
   * Reaps orphaned zombie processes where the arbiter is process 1 of a container. Called once a
   * second.
   */
  readonly reapOrphans: () => void
  readonly version: string
  /** Name of the engine that the workers will use, with the reason, for the log. */
  readonly engineDescription: string
  /**
   * Number of processors that this process may use; limits how many workers boot at the same time.
   */
  readonly processorCount: number
  /** Command line that an upgrade starts again. */
  readonly program: Program
  /** True if systemd has opened the listening sockets (socket activation). */
  readonly isSocketActivated: boolean
  readonly parent: ParentProcess | undefined
  /** Sockets of extra listeners that an older arbiter has passed on. */
  readonly inheritedExtraListeners?: readonly InheritedExtraListener[]
  /** Counters of an older arbiter. */
  readonly earlierLifecycle?: LifecycleTotals | undefined
}

/**
 * The process that has started this arbiter: an older arbiter that still serves, or the command
 * that starts a daemon.
 */
export interface ParentProcess {
  readonly kind: 'upgrade' | 'daemon'
  readonly pid: number
  readonly channel: ParentChannel
}
