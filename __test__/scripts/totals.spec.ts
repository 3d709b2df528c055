// The last line of `npm test` is what others believe: these are the reports that it is counted
// from.

import test from 'ava'
import { avaTotals, cargoTotals, wasRun } from '../../scripts/test.ts'

test('a run of ava in which everything passed', (t) => {
  t.deepEqual(avaTotals('  ✔ a\n  ✔ b\n  ─\n\n  2 tests passed\n', 0), {
    passed: 2,
    failed: 0,
    skipped: [],
  })
  t.deepEqual(avaTotals('  ✔ a\n  ─\n\n  1 test passed\n', 0), {
    passed: 1,
    failed: 0,
    skipped: [],
  })
})

test('a run of ava with failures, without the number of passed tests', (t) => {
  const output = '  ✔ a\n  ✘ [fail]: b\n  ✔ c\n  ─\n\n  1 test failed\n  1 uncaught exception\n'
  t.deepEqual(avaTotals(output, 1), { passed: 2, failed: 2, skipped: [] })
})

test('tests of ava that hang count as failed', (t) => {
  const output = '  ✔ a\n  ─\n\n  6 tests remained pending after a timeout\n'
  t.deepEqual(avaTotals(output, 1), { passed: 1, failed: 6, skipped: [] })
})

test('a run that ends badly without naming a test has failed', (t) => {
  t.deepEqual(avaTotals('', 1), { passed: 0, failed: 1, skipped: [] })
  t.deepEqual(cargoTotals('error: could not compile\n', 101), { passed: 0, failed: 1, skipped: [] })
})

test('a run that finds no test has failed', (t) => {
  t.deepEqual(avaTotals('', 0), { passed: 0, failed: 1, skipped: [] })
})

test('the test binaries of cargo are added up', (t) => {
  const output = [
    'test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s',
    'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; finished in 1s',
  ].join('\n')
  t.deepEqual(cargoTotals(output, 101), { passed: 15, failed: 2, skipped: [] })
})

test('skipped tests are listed with their reason', (t) => {
  const ava =
    '  ✔ a\n  - [skip] process › b (needs root)\n  ─\n\n  1 test passed\n  1 test skipped\n'
  t.deepEqual(avaTotals(ava, 0), { passed: 1, failed: 0, skipped: ['process › b (needs root)'] })
  const cargo =
    'test a ... ok\ntest b ... ignored, needs time\ntest result: ok. 1 passed; 0 failed\n'
  const skipped = ['b ... ignored, needs time']
  t.deepEqual(cargoTotals(cargo, 0), { passed: 1, failed: 0, skipped })
})

test('only the proofs of tests that ran are checked', (t) => {
  const all = { files: [], hasCargo: true, skipped: ['process › users › of root (needs root)'] }
  t.true(wasRun(all, { file: 'crates/engine/tests/protocol/tls.rs', title: 'a_test' }))
  t.true(wasRun(all, { file: 'process/users.spec.ts', title: 'umask' }))
  t.false(wasRun(all, { file: 'process/users.spec.ts', title: 'of root' }))
  const one = { ...all, files: ['__test__/process/users.spec.ts'], hasCargo: false }
  t.true(wasRun(one, { file: 'process/users.spec.ts', title: 'umask' }))
  t.false(wasRun(one, { file: 'process/logs.spec.ts', title: 'rotation' }))
  t.false(wasRun(one, { file: 'crates/engine/tests/protocol/tls.rs', title: 'a_test' }))
})
