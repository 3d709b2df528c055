/** The entry of a worker process: channel -> boot message -> application -> engine -> ready. */

import { enableCompileCache } from '../process/compile-cache.ts'

enableCompileCache()

// Imported after the line above, so that its compiled code comes from the cache.
const { startWorker } = await import('./start.ts')
startWorker()
