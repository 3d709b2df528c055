// What systemd does for a service, done by the test: opened sockets, a notification socket, the
// watchdog.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { nodeBinder } from '../../ts/listen/bind-node.ts'
import { native } from '../../ts/native/index.ts'
import { needs } from '../requirements.ts'
import {
  appSource,
  childrenOf,
  ENGINES,
  get,
  isAlive,
  type Program,
  serveArgs,
  startProgram,
  until,
  WITHOUT_ADDON,
} from './program.ts'

// LISTEN_PID is the process's own, so a shell sets it just before it becomes the program.
const ACTIVATED = ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$@"', '-']

for (const engine of ENGINES) {
  test.serial(`${engine}: serves the socket of systemd instead of bind`, async (t) => {
    const options = { backlog: 16, reusePort: false, chdir: '/', umask: 0, owner: undefined }
    const { fd, address, close } = nodeBinder.bindTcp(
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      options,
    )
    const port = address.kind === 'tcp' ? address.port : 0
    const source = `module.exports = (req, res) => res.end(
      Object.keys(process.env).filter((name) => name.startsWith('LISTEN_')).join())`
    const program = startProgram(t, {
      files: { 'app.cjs': source },
      args: serveArgs(engine, '-w', '1'),
      command: ACTIVATED,
      inherit: [fd],
    })
    close()
    await program.line(/Using descriptor 3 \(web\) from systemd/)
    await program.line(new RegExp(`Listening at: http://127\\.0\\.0\\.1:${port} `))
    await program.line(/Worker ready/)
    t.is((await get({ port, path: '/' })).body, '')
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    t.is((await get({ port, path: '/' })).status, 200)
    program.signal('SIGUSR2')
    const [, pid] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
    const newer = Number(pid)
    t.teardown(() => endFamily(newer))
    await program.line(new RegExp(`Listening at: http://127\\.0\\.0\\.1:${port} \\(${newer}\\)`))
    await program.line(/is serving beside this one/)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.is((await get({ port, path: '/' })).status, 200)
  })
}

test.serial(
  'descriptors that are no sockets, or far too many, are an error of the start',
  async (t) => {
    for (const [count, line] of [
      ['2', /cannot listen at fd:\/\/3: the descriptor is not /],
      ['99999999999', /cannot listen at LISTEN_FDS=99999999999: at most 1024 sockets/],
    ] as const) {
      const program = startProgram(t, {
        files: { 'app.cjs': appSource('1') },
        args: serveArgs('auto', '-w', '1'),
        command: ['sh', '-c', `LISTEN_PID=$$ LISTEN_FDS=${count} exec "$@" 3</dev/null`, '-'],
      })
      t.is(await program.exited, 1)
      await program.line(line)
      t.notRegex(program.log, /Unexpected error/)
    }
  },
)

test.serial('sockets that were meant for another process are left alone', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', '1'),
    env: { LISTEN_PID: '1', LISTEN_FDS: '3' },
  })
  await program.ready(1)
  t.is((await program.who()).version, '1')
})

// Node has no datagrams on unix sockets, neither to send them nor to receive them.
const LISTENER = `import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', '\\0'))
print(json.dumps('bound'), flush=True)
while True: print(json.dumps(s.recv(4096).decode()), flush=True)`
const canListen = native !== null && spawnSync('python3', ['-c', '']).status === 0
const testNotify = needs('python3', canListen)

for (const abstract of [false, true]) {
  testNotify(
    `systemd is notified of every phase${abstract ? ', at an abstract name' : ''}`,
    async (t) => {
      const systemd = await listen(t, abstract)
      const args = serveArgs('auto', '-w', '2')
      const env = { NOTIFY_SOCKET: systemd.address, WATCHDOG_USEC: '200000' }
      const files = { 'app.cjs': `setTimeout(() => {}, 0); ${appSource('1')}` }
      const program = startProgram(t, { files, args, env })
      await program.ready(2)
      await systemd.receives(/^READY=1\nSTATUS=2 workers serve$/)
      await systemd.receives(/^WATCHDOG=1$/)
      await systemd.receives(/^WATCHDOG=1$/)
      program.signal('SIGHUP')
      await systemd.receives(/^RELOADING=1\nMONOTONIC_USEC=\d{6,}\n/)
      await systemd.receives(/^READY=1\n/)
      t.regex(program.log, /Reload complete/)
      program.write('app.cjs', 'throw new Error("broken")')
      program.signal('SIGHUP')
      await systemd.receives(/^RELOADING=1\n/)
      await systemd.receives(/^READY=1\n/)
      t.regex(program.log, /Reload failed/)
      program.signal('SIGTERM')
      await systemd.receives(/^STOPPING=1\n/)
      t.is(await program.exited, 0)
    },
  )
}

testNotify('systemd is notified of the new main process after an upgrade', async (t) => {
  const systemd = await listen(t, false)
  const args = serveArgs('auto', '-w', '1')
  const env = { NOTIFY_SOCKET: systemd.address, WATCHDOG_USEC: '400000' }
  const program = startProgram(t, { files: { 'app.cjs': appSource('1') }, args, env })
  await program.ready(1)
  await systemd.receives(/^READY=1/)
  program.signal('SIGUSR2')
  const [, pid] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
  const newer = Number(pid)
  t.teardown(() => endFamily(newer))
  await program.line(/is serving beside this one/)
  program.signal('SIGTERM')
  await systemd.receives(new RegExp(`^MAINPID=${newer}\\nREADY=1\\n`))
  t.is(await program.exited, 0)
  await systemd.receives(new RegExp(`^MAINPID=${newer}\\nREADY=1$`))
  await systemd.receives(/^WATCHDOG=1$/)
})

testNotify('a failed start never reports ready', async (t) => {
  const systemd = await listen(t, false)
  const args = serveArgs('auto', '-w', '1')
  const env = { NOTIFY_SOCKET: systemd.address }
  const files = { 'app.cjs': 'throw new Error("broken")' }
  const program = startProgram(t, { files, args, env })
  t.is(await program.exited, 3)
  await systemd.receives(/^STOPPING=1/)
  t.false(systemd.received.some((message) => message.includes('READY')))
})

for (const [name, without, line] of [
  ['with the addon', { files: {}, env: {} }, /\[DEBUG\] Cannot notify systemd: .*ENOENT/],
  ['without it', WITHOUT_ADDON, /\[WARNING\] NOTIFY_SOCKET is set, but systemd cannot be notified/],
] as const) {
  const run = needs('the addon', native !== null || without === WITHOUT_ADDON)
  run(`a notification that fails does not keep it from serving, ${name}`, async (t) => {
    const args = serveArgs('auto', '-w', '1')
    const env = { ...without.env, NOTIFY_SOCKET: '/nowhere/notify' }
    const files = { 'app.cjs': appSource('1'), ...without.files }
    const program = await startProgram(t, { files, args, env }).ready(1)
    t.is((await program.who()).version, '1')
    await until(() => line.test(program.log), 'the line')
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
  })
}

interface Systemd {
  readonly address: string
  readonly received: string[]
  /** Waits for a message that was not waited for before. */
  receives(pattern: RegExp): Promise<void>
}

async function listen(t: ExecutionContext, abstract: boolean): Promise<Systemd> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-notify-'))
  const address = `${abstract ? '@' : ''}${join(directory, 'notify')}`
  const child: ChildProcess = spawn('python3', ['-c', LISTENER, address])
  t.teardown(() => {
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true })
  })
  const received: string[] = []
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    received.push(...lines.map((line) => JSON.parse(line) as string))
  })
  await until(() => received.length === 1, 'the notification socket')
  let read = 0
  return {
    address,
    received,
    async receives(pattern) {
      const index = await until(
        () => {
          const found = received.findIndex((message, at) => at > read && pattern.test(message))
          return found === -1 ? undefined : found
        },
        `a message like ${pattern} beside ${JSON.stringify(received)}`,
      )
      read = index
    },
  }
}

function endFamily(arbiter: Program['pid']): void {
  const family = isAlive(arbiter) ? [...childrenOf(arbiter), arbiter] : []
  for (const member of family) process.kill(member, 'SIGKILL')
}
