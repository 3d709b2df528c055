import { testNative } from './addon.ts'
import { runProgram } from './program.ts'

interface Count {
  readonly threads: number
  readonly descriptors: number
}

testNative(
  'a worker thread that serves under load is terminated without a crash or a leak',
  async (t) => {
    const [early, late] = (await runProgram('terminate.ts', '20')) as [Count, Count]
    t.true(late.threads <= early.threads, `${late.threads} threads after ${early.threads}`)
    t.true(
      late.descriptors <= early.descriptors + 1,
      `${late.descriptors} after ${early.descriptors}`,
    )
  },
)

testNative('a thousand servers in one process leave no descriptors and no memory', async (t) => {
  const [early, late] = (await runProgram('restart.ts', '1000')) as [Count, Count]
  t.true(late.threads <= early.threads, `${late.threads} threads after ${early.threads}`)
  t.true(
    late.descriptors <= early.descriptors + 1,
    `${late.descriptors} after ${early.descriptors}`,
  )
})
