/** Each program runs on plain Node and with the registration: what it prints and how it ends must be the same. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { native } from '../../ts/native/index.ts'

/** The build, since a worker thread would not know how to load the sources. */
const REGISTER = fileURLToPath(new URL('../../dist/register/register.js', import.meta.url))
const DEADLINE_MS = 60_000

interface Ended {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

const registered = ['--import', REGISTER]

function run(program: string, nodeArguments: readonly string[]): Promise<Ended> {
  const file = fileURLToPath(new URL(`programs/${program}.cjs`, import.meta.url))
  const options = { timeout: DEADLINE_MS, env: { ...process.env, NODE_OPTIONS: '' } }
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...nodeArguments, file],
      options,
      (_error, output, errors) => resolve({ code: child.exitCode, output, errors }),
    )
  })
}

const programs: Readonly<Record<string, string>> = {
  lives: 'a server opens, closes and opens again as on node',
  errors: "listen() fails with node's errors",
  places: 'a server listens at a path, a descriptor, a handle and until a signal aborts',
  connections: 'connections are counted, refused, closed and waited for as on node',
  unref: 'the process ends when what is left is unreferenced',
  limits: "a server's limits are its own",
  unread: 'a body that nobody reads is read on, and the connection serves on',
  refused: "what is no request is refused in node's words or the program's",
  sockets: 'resets and options reach the sockets of the kernel',
  exits: 'an answer goes out though its callback ends the process',
  throws: 'a throw of a handler kills the process as on node',
  rejects: 'a rejection reaches the listeners of the program',
  threads: 'servers live in worker threads',
  foreign: "net, http2 and what only node's parser allows stay node's own",
}

const withAddon = native === null || !existsSync(REGISTER) ? test.skip : test

for (const [program, title] of Object.entries(programs)) {
  withAddon(title, async (t) => {
    const [plain, ours] = await Promise.all([run(program, []), run(program, registered)])
    t.is(ours.output, plain.output)
    t.is(ours.code, plain.code, ours.errors)
    t.not(plain.output, '')
  })
}

withAddon('the engine serves, whichever way it is asked for', async (t) => {
  t.is((await run('served', [])).output, 'node\n')
  t.is((await run('served', registered)).output, 'native\n')
  t.is((await run('served', ['--require', REGISTER])).output, 'native\n')
  t.is((await run('served', ['--require', REGISTER, ...registered])).output, 'native\n')
})
