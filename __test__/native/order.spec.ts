import { testNative } from './addon.ts'
import { runProgram } from './program.ts'

testNative('finished answers do not wait for a slow handler of the same batch', async (t) => {
  const { cheapMs, slowMs } = (await runProgram('order.ts')) as {
    cheapMs: number[]
    slowMs: number
  }
  t.is(cheapMs.length, 7)
  // The slow handler takes 1.5 s: a response that waited for it takes far more than half.
  for (const ms of cheapMs) t.true(ms < slowMs / 2, `${ms} ms of ${slowMs} ms`)
})
