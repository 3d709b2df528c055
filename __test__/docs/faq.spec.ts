// Every command of docs/faq.md, unchanged.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import { shellWords } from '../../ts/settings/shell-words.ts'
import { appSource, type Program, startProgram, until } from '../process/program.ts'
import { sectionsOf } from './sections.ts'

const execute = promisify(execFile)

interface Check {
  /** What the log contains, in this order, once all commands have run. */
  readonly logs?: readonly RegExp[]
  /** What the last command that ends prints. */
  readonly prints?: RegExp
  /** What is asked for in the end. */
  readonly path?: string
  /** The command itself ends, with 0. */
  readonly ends?: true
}

const FAQ: Record<string, Check> = {
  'How do I set SCRIPT_NAME?': { path: '/shop/' },
  'How do I reload my application?': { logs: [/Reload complete|Watching/] },
  'How might I test a proxy configuration?': { prints: /"version":"1"/ },
  'How can I name processes?': { prints: /monoceros: (master|worker) \[shop\]/ },
  'Why is there no HTTP keep-alive?': {},
  'Which type of worker should I use?': { logs: [/"gthread" is a value of Gunicorn/] },
  'What types of workers are there?': {},
  'How many workers should I use?': {},
  'How can I change the number of workers while it runs?': {
    logs: [/Handling signal: ttin/, /Handling signal: ttou/],
  },
  'Why are there no logs in the console?': {},
  'How can I raise the number of open files?': { logs: [/Open files: at most \d+ per process/] },
  'How can I raise the backlog of a socket?': { prints: /^\d+$/m },
  'How can I turn sendfile off?': {},
  'The framework complains while it is configured': { ends: true },
  'How do I avoid that workers block in fchmod?': {
    logs: [/--worker-tmp-dir has no effect: the heartbeat is in shared memory/],
  },
  'Why are workers killed without a log line?': {},
  'It does not start under upstart, or another supervisor that expects a daemon': { ends: true },
}

for (const { title, commands } of sectionsOf('faq.md')) {
  if (commands.length === 0) continue
  test.serial(title, async (t) => {
    const check = FAQ[title]
    if (check === undefined) return t.fail(`the commands below "${title}" have no check`)
    await runCommands(t, commands, check)
  })
}

test('every check belongs to a heading with commands', (t) => {
  const titles = sectionsOf('faq.md').filter(({ commands }) => commands.length > 0)
  t.deepEqual(
    Object.keys(FAQ),
    titles.map(({ title }) => title),
  )
})

async function runCommands(
  t: ExecutionContext,
  commands: readonly string[],
  { logs = [], prints, ends, path = '/' }: Check,
): Promise<void> {
  let program: Program | undefined
  let printed = ''
  for (const command of commands) {
    if (/^(?:\w+=\S* )*monoceros /.test(command)) {
      program = started(t, command)
      if (ends) t.is(await program.exited, 0, command)
      else await program.ready(1)
    } else {
      const { directory, port } = program ?? { directory: '/', port: 0 }
      const text = command.replace('127.0.0.1:8000', `127.0.0.1:${port}`)
      printed = (await execute('sh', ['-c', text], { cwd: directory })).stdout
    }
  }
  for (const line of logs) {
    await until(() => line.test(program?.log ?? ''), `a line like ${line} in\n${program?.log}`)
  }
  if (prints !== undefined) t.regex(printed, prints)
  if (ends === undefined) t.is((await program?.get(path))?.status, 200)
}

/** The command with another address, and a log line that it is ready. */
function started(t: ExecutionContext, command: string): Program {
  const words = shellWords(command)
  const name = words.indexOf('monoceros')
  const given = words.slice(0, name).map((word) => word.split('=', 2) as [string, string])
  return startProgram(t, {
    files: { 'app.js': appSource('1') },
    args: words.slice(name + 1),
    env: {
      MONOCEROS_BIND: '127.0.0.1:0',
      MONOCEROS_LOGLEVEL: 'debug',
      ...Object.fromEntries(given),
    },
  })
}
