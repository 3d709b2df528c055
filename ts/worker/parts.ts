/** The parts that a worker consists of once it has booted. */

import type { Engine } from '../engine/engine.ts'
import type { FrameworkHooks } from '../http/framework.ts'
import type { Logger } from '../log/logger.ts'
import type { WorkerScoreboard } from '../scoreboard/board.ts'
import type { Config } from '../settings/config.ts'
import type { ExtraServers } from './extra-listeners.ts'
import type { WorkerHooks } from './hooks.ts'
import type { Lifespan } from './lifespan.ts'
import type { OneWorker } from './one-worker.ts'

/** `Boot` fills the parts in, in this order; a part that is undefined has not been created yet. */
export interface WorkerParts {
  config?: Config
  log?: Logger
  /** Undefined also where no hook of the worker is set. */
  hooks?: WorkerHooks
  extraServers?: ExtraServers
  oneWorker?: OneWorker
  lifespan?: Lifespan
  /** The hooks of the framework whose instance the application exports. */
  framework?: FrameworkHooks
  engine?: Engine
  board?: WorkerScoreboard
}
