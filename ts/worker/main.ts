/** The entry of a worker process: channel -> boot message -> application -> engine -> ready. */

import { enableCompileCache } from '../process/compile-cache.ts'

enableCompileCache()

// Loaded only now, so that they come from the cache.
const { system } = await import('../process/system.ts')
const { openChannel } = await import('./channel.ts')
const { Worker } = await import('./worker.ts')

const channel = openChannel()
const worker = new Worker(system, channel)
worker.start()
