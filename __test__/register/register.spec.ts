/** Runs each program on plain Node and with the registration: output and exit code must match. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { needs, needsAddon } from '../requirements.ts'

/** The built file, since a worker thread cannot load TypeScript sources. */
const REGISTER = fileURLToPath(new URL('../../dist/register/register.js', import.meta.url))
const TIMEOUT_MS = 60_000

interface ProgramResult {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

const REGISTER_ARGUMENTS = ['--import', REGISTER]

function run(program: string, nodeArguments: readonly string[]): Promise<ProgramResult> {
  const file = fileURLToPath(new URL(`programs/${program}.cjs`, import.meta.url))
  const options = { timeout: TIMEOUT_MS, env: { ...process.env, NODE_OPTIONS: '' } }
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
  'listen-and-close': 'a server listens, closes and listens again as on Node',
  errors: "listen() fails with Node's errors",
  'listen-targets':
    'a server listens at a path, a descriptor or a handle, and until an AbortSignal',
  connections: 'connections are counted, refused, closed and waited for as on Node',
  unref: 'the process exits when only unreferenced sockets are left',
  limits: 'each server has its own limits',
  'last-requests': 'requests beyond maxRequestsPerSocket are dropped, and the connection times out',
  unread: 'an unread body is discarded, and the connection continues to serve',
  refused: "a malformed request is refused with Node's response or the program's",
  'faulty-body': 'the program sees a request before a fault in its body',
  sockets: 'resets and socket options reach the kernel',
  'socket-events':
    'a socket pauses, times out while it is idle and lets the process exit as on Node',
  tunnelled: 'a socket of CONNECT can be given to the server again',
  exits: 'a response is sent although its callback exits the process',
  throws: 'an exception of a handler terminates the process as on Node',
  rejects: 'a rejection reaches the listeners of the program',
  threads: 'servers run in worker threads',
  'node-only': "Node serves net, http2 and what only Node's parser allows",
}

const testWithAddon = needs('a build', existsSync(REGISTER), needsAddon(test))

for (const [program, title] of Object.entries(programs)) {
  testWithAddon(title, async (t) => {
    const [plain, registered] = await Promise.all([
      run(program, []),
      run(program, REGISTER_ARGUMENTS),
    ])
    t.is(registered.output, plain.output)
    t.is(registered.code, plain.code, registered.errors)
    t.not(plain.output, '')
  })
}

testWithAddon('the native engine serves with --import, with --require and with both', async (t) => {
  t.is((await run('print-engine', [])).output, 'node\n')
  t.is((await run('print-engine', REGISTER_ARGUMENTS)).output, 'native\n')
  t.is((await run('print-engine', ['--require', REGISTER])).output, 'native\n')
  t.is(
    (await run('print-engine', ['--require', REGISTER, ...REGISTER_ARGUMENTS])).output,
    'native\n',
  )
})
