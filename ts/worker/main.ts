/** The entry of a worker process: channel -> boot message -> application -> engine -> ready. */

import { system } from '../process/system.ts'
import { openChannel } from './channel.ts'
import { Worker } from './worker.ts'

const channel = openChannel()
const worker = new Worker(system, channel)
worker.start()
