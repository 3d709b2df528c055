/**
 * How much memory a worker's JavaScript may take when the control group (a container) has a limit: V8 alone would give
 * each worker a share of the whole limit, and together they would be killed before any of them collects its garbage.
 */

import type { Config } from '../settings/config.ts'

/** Of a worker's share, what JavaScript objects may take; the rest is for buffers, code and the engine. */
const HEAP_SHARE = 0.75
/** V8's own limit on machines with plenty of memory. */
const MAX_HEAP_MB = 4_096
/** With less no application starts. */
const MIN_HEAP_MB = 64
const MB = 1_048_576

/** Node's flag for it; none without a limit, or when the operator has said something. */
export function heapFlags(
  { workers, max_surge, raw_env }: Config,
  env: NodeJS.ProcessEnv,
  limit: number | undefined,
): string[] {
  const said = [
    ...process.execArgv,
    env.NODE_OPTIONS ?? '',
    ...raw_env.filter((entry) => entry.startsWith('NODE_OPTIONS=')),
  ]
  if (limit === undefined || said.some((text) => /--max[-_](?:old[-_]space|heap)/.test(text)))
    return []
  const heapMb = Math.floor(((limit / MB) * HEAP_SHARE) / (Math.max(1, workers) + max_surge))
  return [`--max-old-space-size=${Math.max(MIN_HEAP_MB, Math.min(MAX_HEAP_MB, heapMb))}`]
}
