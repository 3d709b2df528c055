// Describes in one line why a file did not load.
import { join } from 'node:path'

import test from 'ava'

import { describeLoadError, loadFreshModule } from '../../ts/settings/load.ts'
import { directoryWith } from './directory.ts'

test('the line of a syntax error in a module is found by a second Node process', async (t) => {
  const cwd = directoryWith(t, {
    'broken.mjs': 'export default {\n  workers: 3,\n  timeout: {{\n}\n',
  })
  const error = new SyntaxError("Unexpected token '{'")
  t.is(
    await describeLoadError(error, join(cwd, 'broken.mjs')),
    "SyntaxError: Unexpected token '{' (line 3)",
  )
})

test('a syntax error in an imported file has no line of the importing file', async (t) => {
  const cwd = directoryWith(t, { 'sound.mjs': 'import "./broken.mjs"\n' })
  const error = new SyntaxError('Unexpected end of input')
  t.is(
    await describeLoadError(error, join(cwd, 'sound.mjs')),
    'SyntaxError: Unexpected end of input',
  )
})

test('the line of other errors is that of the stack, also for a URL with a query', async (t) => {
  const error = new TypeError('no')
  error.stack = 'TypeError: no\n    at f (node:x:1:2)\n    at file:///srv/a.mjs?load=3:12:7\n'
  t.is(await describeLoadError(error, '/srv/a.mjs'), 'TypeError: no (line 12)')
})

test('a load error has its name once, and other thrown values are inspected', async (t) => {
  t.is(await describeLoadError(new Error('ParseError: no\n more'), '/a'), 'ParseError: no')
  t.is(await describeLoadError({ no: 1 }, '/a'), 'it threw { no: 1 }')
})

test('loading a module whose top-level await never settles fails after a timeout', async (t) => {
  const cwd = directoryWith(t, { 'endless.mjs': 'await new Promise(() => {})\n' })
  const path = join(cwd, 'endless.mjs')
  await t.throwsAsync(loadFreshModule(path, 50), {
    code: 'ERR_MODULE_UNSETTLED',
    message: [
      `${path} did not load within 0.05 s:`,
      'a top-level await in it or in one of its imports has not settled.',
    ].join(' '),
  })
})
