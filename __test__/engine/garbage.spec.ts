import test from 'ava'
import { runProgram } from '../native/program.ts'

test('answers that are given up leave nothing behind, though nothing else happens', async (t) => {
  const [before, after] = (await runProgram('abandon.ts')) as [number, number]
  t.true(before >= 40, `${before} MiB`)
  t.true(after < 10, `${after} MiB`)
})
