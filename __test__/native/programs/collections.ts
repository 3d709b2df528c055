// Counts the collections while the engine copies many megabytes out of one buffer, and out of a new
// one each time.
import { PerformanceObserver } from 'node:perf_hooks'
import { countCopied } from '../../../ts/engine/native/gc-pressure.ts'

const PIECE = 65_536
const PIECES = 1_024

let collections = 0
new PerformanceObserver((list) => {
  collections += list.getEntries().length
}).observe({ entryTypes: ['gc'] })

async function copy(piece: () => Buffer): Promise<number> {
  const before = collections
  for (let count = 0; count < PIECES; count++) {
    countCopied(piece().length)
    if (count % 16 === 0) await new Promise(setImmediate)
  }
  // The observer reports a collection in a later turn, and has no event for the last one.
  await new Promise((resolve) => setTimeout(resolve, 50))
  return collections - before
}

const same = Buffer.alloc(PIECE)
const ofOne = await copy(() => same)
const ofMany = await copy(() => Buffer.alloc(PIECE))
console.log(JSON.stringify([ofOne, ofMany, Math.round(process.memoryUsage().arrayBuffers / PIECE)]))
