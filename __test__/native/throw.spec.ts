import { testNative } from './addon.ts'
import { runProgram } from './program.ts'

const WAYS = ['handler', 'tick', 'promise']
const LOOPS = ['busy', 'calm']

for (const [way, loop] of WAYS.flatMap((way) => LOOPS.map((loop) => [way, loop] as const))) {
  testNative(
    `a throw in the ${way} of one request is reported once and costs the others nothing (${loop})`,
    async (t) => {
      const { answers, errors, culprits } = (await runProgram('throw.ts', way, loop)) as {
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
