/** A worker's parts put together: the channel on its descriptor, the system, and the worker between them. */

import { system } from '../process/system.ts'
import { openChannel } from './channel.ts'
import { Worker } from './worker.ts'

export function startWorker(): void {
  new Worker(system, openChannel()).start()
}
