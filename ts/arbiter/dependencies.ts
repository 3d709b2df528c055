/** What an arbiter works with beside the system; the tests give their own. */

import type { SystemdNotifier } from '../listen/systemd.ts'
import type { Logger } from '../log/logger.ts'
import type { ParentChannel, Program } from '../process/system.ts'
import type { ArbiterScoreboard } from '../scoreboard/board.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import type { EventQueue } from './events.ts'
import type { InheritedExtraListener } from './extra-listeners.ts'
import type { OpenGeneration } from './generation.ts'
import type { ArbiterHooks } from './hooks.ts'
import type { OpenSourceWatch } from './source-watch.ts'
import type { TitleAndPidfileDependencies } from './title-and-pidfile.ts'

export interface ArbiterDependencies extends TitleAndPidfileDependencies {
  /** Where signals come as events already. */
  readonly queue: EventQueue
  readonly settings: ResolvedConfig
  /** Reads the settings again, at a reload. */
  readonly loadSettings: () => Promise<ResolvedConfig>
  readonly openGeneration: OpenGeneration
  readonly scoreboard: ArbiterScoreboard
  readonly log: Logger
  readonly notifier: SystemdNotifier
  readonly hooks: ArbiterHooks
  /** Makes the files that workers will log into theirs; also after `logrotate` has moved the old ones. */
  readonly prepareLogs: (config: Config) => void
  /** Watches files, for `reload`. */
  readonly openSourceWatch: OpenSourceWatch
  /** Waits for the orphans of a container; once a tick. */
  readonly reapOrphans: () => void
  readonly version: string
  /** Which engine the workers will use, for the log. */
  readonly engineDescription: string
  /** That this process may use: so many workers boot at a time. */
  readonly processorCount: number
  /** What a new arbiter is started as. */
  readonly program: Program
  /** Whether systemd has opened the sockets. */
  readonly isSocketActivated: boolean
  readonly parent: ParentProcess | undefined
  /** Sockets of programs' further servers that an older arbiter has handed over. */
  readonly inheritedExtraListeners?: readonly InheritedExtraListener[]
}

/** Who has started this arbiter: an older one, which still serves, or the command of a daemon. */
export interface ParentProcess {
  readonly kind: 'upgrade' | 'daemon'
  readonly pid: number
  readonly channel: ParentChannel
}
