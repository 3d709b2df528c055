/** Opens the log files of all processes again, after `logrotate` has moved them. */

import type { ArbiterDependencies } from './dependencies.ts'
import type { Rollout } from './rollout.ts'
import type { Supervisor } from './supervisor.ts'

/** Parts of the arbiter that have log files. */
export interface LogOwners {
  readonly dependencies: Pick<ArbiterDependencies, 'log' | 'prepareLogs'>
  readonly rollout: Rollout
  readonly supervisor: Supervisor
}

/**
 * Opens the log files again. After an error, which is logged and returned, the files that are open
 * stay in use.
 */
export function reopenLogs({ dependencies, rollout, supervisor }: LogOwners): string | undefined {
  const { currentGeneration } = rollout
  try {
    if (currentGeneration !== undefined) dependencies.prepareLogs(currentGeneration.config)
    dependencies.log.reopen()
    return undefined
  } catch (error) {
    rollout.logError(error)
    return error instanceof Error ? error.message : String(error)
  } finally {
    supervisor.reopenLogs()
  }
}
