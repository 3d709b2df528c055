/** Quantiles of the scoreboard's latency histogram. */

const MICROSECONDS = 1_000_000

/**
 * Returns the duration in seconds below which a share of all requests took; undefined without
 * requests. Bucket i counts durations from 2^(i-1) to 2^i microseconds.
 */
export function latencyQuantile(buckets: readonly number[], share: number): number | undefined {
  const count = buckets.reduce((sum, bucket) => sum + bucket, 0)
  if (count === 0) return undefined
  let before = 0
  for (const [index, bucket] of buckets.entries()) {
    const wanted = share * count - before
    if (bucket > 0 && wanted <= bucket) {
      const low = index === 0 ? 0 : 2 ** (index - 1)
      return (low + ((2 ** index - low) * Math.max(0, wanted)) / bucket) / MICROSECONDS
    }
    before += bucket
  }
  return 2 ** (buckets.length - 1) / MICROSECONDS
}
