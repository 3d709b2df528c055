/** The entry of a worker process: channel -> boot message -> application -> engine -> ready. */

import { enableCompileCache } from '../process/compile-cache.ts'

enableCompileCache()

// Loaded only now, so that it comes from the cache.
const { startWorker } = await import('./start.ts')
startWorker()
