// The prompt of `monoceros ctl` in a pseudo-terminal, without one, and the completion of shells.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { COMMAND_NAMES } from '../../ts/control/commands.ts'
import { until } from '../process/program.ts'
import { needs } from '../requirements.ts'
import { temporaryDirectory } from '../temporary.ts'
import { MAIN, runMonoceros, startControlled } from './ctl.ts'

const TAB = '\t'
const ENTER = '\r'
const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const UP = '\u001b[A'
const GREEN = '\u001b\\[32m'

const testTerminal = needs('/usr/bin/script', existsSync('/usr/bin/script'))

// Without script(1) there is no pseudo-terminal.
testTerminal('the prompt completes words, colours answers and has a history', async (t) => {
  const { program, runtime } = await startControlled(t)
  const [worker = 0] = program.workers()
  const command = `${process.execPath} ${MAIN} ctl`
  const startPrompt = () => {
    const child = spawn('/usr/bin/script', ['-qfec', command, '/dev/null'], {
      env: {
        ...process.env,
        ...{ NODE_OPTIONS: '', NO_COLOR: '', TERM: 'xterm' },
        ...{ XDG_RUNTIME_DIR: runtime, TMPDIR: runtime, XDG_STATE_HOME: runtime },
      },
    })
    t.teardown(() => child.kill('SIGKILL'))
    let shown = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text
    })
    const exited = new Promise((done) => child.on('exit', done))
    /** Types keys, and waits for what the terminal then shows. */
    const type = async (keys: string, expected: RegExp) => {
      const from = shown.length
      child.stdin.write(keys)
      await until(() => expected.test(shown.slice(from)), `${expected} after ${keys}`)
    }
    return { type, exited }
  }
  const { type, exited } = startPrompt()
  await type('', /monoceros> /)
  await type(`statu${TAB}`, /status/)
  await type(ENTER, new RegExp(`1 of 1 serving.*${GREEN}serving.*monoceros> `, 's'))
  await type(`worker k${TAB}`, /kill /)
  await type(TAB, new RegExp(String(worker)))
  await type(ENTER, /has exited, 1 worker serves.*monoceros> /s)
  await type(`nonsense${ENTER}`, /unknown command "nonsense".*monoceros> /s)
  await type(`logs -f${ENTER}`, /Handling command: worker kill/)
  await type(CTRL_C, /monoceros> /)
  await type(CTRL_D, /$/)
  t.is(await exited, 0)
  const next = startPrompt()
  await next.type('', /monoceros> /)
  await next.type(UP, /logs -f/)
  await next.type(CTRL_C, /monoceros> /)
  await next.type(`quit${ENTER}`, /quit/)
  t.is(await next.exited, 0)
  t.regex(readFileSync(join(runtime, 'monoceros/ctl-history'), 'utf8'), /logs -f/)
})

test.serial(
  'without a terminal each line is a command, and a refused one gives status 1',
  async (t) => {
    const { ctl } = await startControlled(t)
    const { status, out, err } = await ctl('', 'scale 2\n\nlisteners\n')
    t.is(status, 0)
    t.regex(out, /^2 workers serve\nADDRESS/)
    t.is(err, '')
    t.is((await ctl('', 'nonsense\nlisteners\n')).status, 1)
  },
)

test('usage errors exit with 2, and the help lists everything', async (t) => {
  const runtime = temporaryDirectory('control')
  for (const words of [['--nonsense'], ['-s'], ['--json=1'], ['completion', 'csh']]) {
    const { status, err } = await runMonoceros(['ctl', ...words], { runtime })
    t.is(status, 2, words.join(' '))
    t.regex(err, /monoceros ctl --help lists all commands/)
  }
  const { status, out } = await runMonoceros(['ctl', '--help'], { runtime })
  t.is(status, 0)
  for (const name of COMMAND_NAMES) t.regex(out, new RegExp(`^ {2}${name}\\b`, 'm'))
  t.true(out.split('\n').every((line) => line.length <= 80))
  const missing = await runMonoceros(['ctl', '-s', join(runtime, 'no.sock'), 'status'], { runtime })
  t.is(missing.status, 1)
  t.regex(
    missing.err,
    /cannot connect to .*no\.sock: there is no such file; is the server running\?/,
  )
})

test('the completion of bash offers subcommands, commands and their words', async (t) => {
  const runtime = temporaryDirectory('control')
  const { out } = await runMonoceros(['ctl', 'completion', 'bash'], { runtime })
  writeFileSync(join(runtime, 'completion'), out)
  const complete = (...words: string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(' ')
    const script = `source completion; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
      _monoceros; printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', script], { cwd: runtime, encoding: 'utf8' }).trim()
  }
  t.is(complete('monoceros', 'ct'), 'ctl')
  t.is(complete('monoceros', '--max-requests-j'), '--max-requests-jitter')
  t.is(complete('monoceros', 'ctl', 'sh'), 'shutdown')
  t.is(complete('monoceros', 'ctl', '-s', 'PATH', 'shutdown', ''), 'quick')
  t.is(complete('monoceros', 'ctl', 'config', 'worker_con'), 'worker_connections')
})

test('the completions of zsh and fish have every command', async (t) => {
  const runtime = temporaryDirectory('control')
  for (const shell of ['zsh', 'fish']) {
    const { out } = await runMonoceros(['ctl', 'completion', shell], { runtime })
    for (const name of COMMAND_NAMES) t.true(out.includes(`${name}`), `${shell}: ${name}`)
  }
})
