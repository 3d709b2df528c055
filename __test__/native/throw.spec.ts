import { testNative } from './addon.ts'
import { runProgram } from './program.ts'

const ways = ['handler', 'tick', 'promise']

for (const way of ways) {
  testNative(
    `a throw in the ${way} of one request of a batch is reported once and costs the others nothing`,
    async (t) => {
      const { answers, errors, culprits } = (await runProgram('throw.ts', way)) as {
        answers: string[]
        errors: string[]
        culprits: string[]
      }
      t.deepEqual(answers, ['/1', '/2', '/3', '/4'])
      t.deepEqual(errors, [way])
      t.deepEqual(culprits, ['/0'])
    },
  )
}
