/** Quantiles and differences of latency histograms. */

import type { LatencyHistogram } from './board.ts'

/**
 * Returns the duration in seconds below which a share of all requests took; undefined without
 * requests. Within a bucket, durations are taken to be spread evenly.
 */
export function latencyQuantile(
  { bounds, counts }: Pick<LatencyHistogram, 'bounds' | 'counts'>,
  share: number,
): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return undefined
  let before = 0
  for (const [index, count] of counts.entries()) {
    const wanted = share * total - before
    if (count > 0 && wanted <= count) {
      const low = bounds[index - 1] ?? 0
      return low + (((bounds[index] ?? low) - low) * Math.max(0, wanted)) / count
    }
    before += count
  }
  return bounds.at(-1)
}

/** Returns the requests between two readings of one histogram. */
export function subtractLatency(
  later: LatencyHistogram,
  earlier: LatencyHistogram | undefined,
): LatencyHistogram {
  const counts = later.counts.map((count, index) => count - (earlier?.counts[index] ?? 0))
  return { bounds: later.bounds, counts, sum: later.sum - (earlier?.sum ?? 0) }
}
