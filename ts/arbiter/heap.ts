/**
 * Heap limit of a worker where the control group (a container) limits memory. V8 alone would derive
 * the heap of every worker from the whole limit. Together the workers would then be killed before
 * any of them collects garbage.
 */

import type { Config } from '../settings/config.ts'

/**
 * Share of a worker's memory for JavaScript objects. The rest is for buffers, code and the engine.
 */
const HEAP_SHARE = 0.75
/** Upper bound: V8's own limit on machines with plenty of memory. */
const MAX_HEAP_MB = 4_096
/** Lower bound: applications do not start with less. */
const MIN_HEAP_MB = 64
const MB = 1_048_576

/**
 * Returns the V8 flag for the heap limit. There is none without a memory limit, or if the operator
 * has set such a flag.
 */
export function chooseHeapFlags(
  { workers, max_surge, raw_env }: Config,
  env: NodeJS.ProcessEnv,
  limit: number | undefined,
): string[] {
  const givenFlags = [
    ...process.execArgv,
    env.NODE_OPTIONS ?? '',
    ...raw_env.filter((entry) => entry.startsWith('NODE_OPTIONS=')),
  ]
  if (limit === undefined || givenFlags.some((text) => /--max[-_](?:old[-_]space|heap)/.test(text)))
    return []
  const heapMb = Math.floor(((limit / MB) * HEAP_SHARE) / (Math.max(1, workers) + max_surge))
  return [`--max-old-space-size=${Math.max(MIN_HEAP_MB, Math.min(MAX_HEAP_MB, heapMb))}`]
}
