/** Starts the worker of this process on the inherited channel. */

import { system } from '../process/system.ts'
import { openChannel } from './channel.ts'
import { Worker } from './worker.ts'

/** Starts the worker; it waits for the boot message. */
export function startWorker(): void {
  new Worker(system, openChannel()).start()
}
