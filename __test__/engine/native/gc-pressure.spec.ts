import test from 'ava'
import { runProgram } from '../../native/program.ts'

test('abandoned responses are collected, though nothing else happens', async (t) => {
  const [before, after] = (await runProgram('abandon.ts')) as [number, number]
  t.true(before >= 40, `${before} MiB`)
  t.true(after < 10, `${after} MiB`)
})

test('new buffers cause collections, one buffer that is sent repeatedly does not', async (t) => {
  const [ofOne, ofMany, left] = (await runProgram('collections.ts')) as [number, number, number]
  t.true(ofOne <= 1, `${ofOne} collections`)
  t.true(ofMany >= 4, `${ofMany} collections`)
  t.true(left < 512, `${left} of 1024 pieces are left`)
})
