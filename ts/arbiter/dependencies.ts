/** What an arbiter works with beside the system; the tests give their own. */

import type { Notifier } from '../listen/systemd.ts'
import type { Logger } from '../log/logger.ts'
import type { Parent, Program } from '../process/system.ts'
import type { ArbiterBoard } from '../scoreboard/board.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import type { EventQueue } from './events.ts'
import type { HandedFurther } from './extra-listeners.ts'
import type { OpenGeneration } from './generation.ts'
import type { ArbiterHooks } from './hooks.ts'
import type { OpenSourceWatch } from './source-watch.ts'
import type { IdentityParts } from './title-and-pidfile.ts'

export interface ArbiterParts extends IdentityParts {
  /** Where signals come as events already. */
  readonly queue: EventQueue
  readonly resolved: ResolvedConfig
  /** Reads the settings again, at a reload. */
  readonly load: () => Promise<ResolvedConfig>
  readonly open: OpenGeneration
  readonly board: ArbiterBoard
  readonly log: Logger
  readonly notifier: Notifier
  readonly hooks: ArbiterHooks
  /** Makes the files that workers will log into theirs; also after `logrotate` has moved the old ones. */
  readonly prepareLogs: (config: Config) => void
  /** Watches files, for `reload`. */
  readonly openWatch: OpenSourceWatch
  /** Waits for the orphans of a container; once a tick. */
  readonly reapOrphans: () => void
  readonly version: string
  /** Which engine the workers will use, for the log. */
  readonly engine: string
  /** That this process may use: so many workers boot at a time. */
  readonly processors: number
  /** What a new arbiter is started as. */
  readonly program: Program
  /** Whether systemd has opened the sockets. */
  readonly activated: boolean
  readonly parent: Ancestor | undefined
  /** Sockets of programs' further servers that an older arbiter has handed over. */
  readonly further?: readonly HandedFurther[]
}

/** Who has started this arbiter: an older one, which still serves, or the command of a daemon. */
export interface Ancestor {
  readonly kind: 'upgrade' | 'daemon'
  readonly pid: number
  readonly link: Parent
}
