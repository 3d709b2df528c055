// The blocks of docs/one-worker.md, run as they are but for the address and the minute between two
// runs of the work.

import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { get, startProgram, until } from '../process/program.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const text = readFileSync(new URL('../../docs/one-worker.md', import.meta.url), 'utf8')
const commands = [...text.matchAll(/^ {4}(monoceros .+)$/gm)].map((match) => match[1] ?? '')
const [first = '', second = '', jobs = ''] = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(
  ([, code = '']) => code.replaceAll('60_000', '20'),
)

const CASES = [
  { name: 'the first application', files: { 'app.mjs': first }, command: 0, line: 'reports sent' },
  {
    name: 'a function without a promise',
    files: { 'app.mjs': second },
    command: 0,
    line: 'cleaned',
  },
  {
    name: 'the setting',
    files: { 'app.mjs': first.replace(/runInOneWorker\(async[\s\S]*?\n}\)/, ''), 'jobs.mjs': jobs },
    command: 1,
    line: 'a message',
  },
] as const

for (const { name, files, command, line } of CASES) {
  test.serial(`${name} runs in one worker`, async (t) => {
    const words = (commands[command] ?? '').replace(':8000', '127.0.0.1:0').split(' ').slice(1)
    const program = startProgram(t, {
      files,
      args: [...words, '--log-level', 'debug', '--log-file', 'log', '--capture-output'],
      prepare(directory) {
        mkdirSync(join(directory, 'node_modules'))
        symlinkSync(ROOT, join(directory, 'node_modules/monoceros'))
      },
    })
    const path = join(program.directory, 'log')
    const log = () => (existsSync(path) ? readFileSync(path, 'utf8') : '')
    await until(() => (log().match(/Worker ready/g)?.length ?? 0) === 4, 'four workers')
    const workers = () => new Set([...log().matchAll(new RegExp(`${line}.* (\\d+)$`, 'gm'))])
    await until(() => workers().size >= 3, 'the work')
    const pids = new Set([...workers()].map((match) => match[1]))
    t.is(pids.size, 1)
    const port = Number(/Listening at: http:\/\/127\.0\.0\.1:(\d+)/.exec(log())?.[1])
    t.is((await get({ port })).body, 'hello\n')
  })
}

test('the page names the setting and the function', (t) => {
  t.regex(text, /--one-worker /)
  t.regex(text, /import \{ runInOneWorker \} from 'monoceros'/)
})
