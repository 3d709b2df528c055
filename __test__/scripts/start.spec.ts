// The arguments of `npm start`: the example is served if they name no application.
import { join } from 'node:path'
import test from 'ava'

import { ROOT } from '../../scripts/command.ts'
import { completeArguments } from '../../scripts/start.ts'
import { directoryWith } from '../settings/directory.ts'

const EXAMPLE = join(ROOT, 'examples/hello-node/app.js')
const WORKERS = ['-w', '2']
const ADDRESS = ['-b', '127.0.0.1:8000']

for (const [what, given, expected] of [
  ['nothing', [], [EXAMPLE, ...WORKERS, ...ADDRESS]],
  ['an address', ['-b', ':9000'], [EXAMPLE, '-b', ':9000', ...WORKERS]],
  ['workers', ['--workers', '1'], [EXAMPLE, '--workers', '1', ...ADDRESS]],
  ['an application', ['app.js'], ['app.js']],
  ['an unknown option', ['--wokers', '1'], ['--wokers', '1']],
] as const) {
  test(`npm start with ${what}`, async (t) => {
    t.deepEqual(await completeArguments(given, { env: {}, cwd: directoryWith(t) }), expected)
  })
}

test('npm start serves the application of a config file', async (t) => {
  const cwd = directoryWith(t, { 'monoceros.config.json': '{ "app": "./app.js" }' })
  t.deepEqual(await completeArguments(['-w', '1'], { env: {}, cwd }), ['-w', '1'])
})

test('npm start listens on the port of the environment, on this machine alone', async (t) => {
  const args = await completeArguments([], { env: { PORT: '5000' }, cwd: directoryWith(t) })
  t.deepEqual(args.slice(-2), ['-b', '127.0.0.1:5000'])
})
