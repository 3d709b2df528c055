// The blocks of docs/control.md, unchanged, and its table of commands.

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { renderCommandRows } from '../../ts/control/commands.ts'
import {
  FIRST_REQUEST_MS,
  IDLE_MS,
  MAX_CONNECTIONS,
  MAX_REQUEST_LENGTH,
} from '../../ts/control/protocol.ts'
import { runMonoceros, startControlled } from '../control/ctl.ts'
import { sectionsOf } from './sections.ts'

const PAGE = readFileSync(new URL('../../docs/control.md', import.meta.url), 'utf8')

/** The indented lines of the page that are commands. */
const COMMANDS = PAGE.match(/^ {4}\S.*$/gm)?.map((line) => line.trim()) ?? []

test('the table of commands is that of the program', (t) => {
  t.true(PAGE.includes(`| --- | --- |\n${renderCommandRows()}\n`))
})

test('the limits are those of the program', (t) => {
  for (const text of [
    `at most ${MAX_REQUEST_LENGTH} characters`,
    `${MAX_CONNECTIONS} connections`,
    `${FIRST_REQUEST_MS / 1_000} seconds for the first`,
    `${IDLE_MS / 60_000} minutes of silence`,
  ]) {
    t.true(PAGE.includes(text), text)
  }
})

test.serial('each command of the page succeeds', async (t) => {
  const { ctl } = await startControlled(t)
  const commands = COMMANDS.filter((line) => line.startsWith('monoceros ctl '))
  t.true(commands.length >= 6)
  for (const command of commands) {
    const { status, err } = await ctl(command.slice('monoceros ctl '.length))
    t.is(status, 0, `${command}: ${err}`)
  }
  const [input = ''] = COMMANDS.filter((line) => line.startsWith('printf '))
  const lines = /'(.*)'/.exec(input)?.[1]?.replaceAll('\\n', '\n') ?? ''
  t.is((await ctl('', lines)).status, 0)
})

test.serial('a program gets the answer of the page', async (t) => {
  const { program, runtime } = await startControlled(t, { workers: 2 })
  const section = sectionsOf('control.md').find(({ title }) => title === 'The protocol')
  const [request = '', answer = ''] = section?.commands ?? []
  const socket = connect(join(runtime, 'monoceros', `${program.pid}.sock`))
  socket.setEncoding('utf8').end(`${request}\n`)
  let text = ''
  for await (const chunk of socket) text += chunk
  t.deepEqual(JSON.parse(text), JSON.parse(answer))
})

test('the command without a server works as the page has it', async (t) => {
  const { status, out } = await runMonoceros(['ctl', 'list'], { runtime: '/nonexistent' })
  t.is(status, 0)
  t.is(out, 'No instance of this user is running.\n')
})
