// Listening sockets from both implementations: the addon's and Node's own.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'

import { createNativeBinder } from '../../ts/listen/bind-native.ts'
import { nodeBinder } from '../../ts/listen/bind-node.ts'
import { type ListenOptions, openListener, resolveHost } from '../../ts/listen/socket.ts'
import { native } from '../../ts/native/index.ts'
import { FakeSystem, fakeLog } from '../arbiter/fake-system.ts'
import { temporaryDirectory } from '../temporary.ts'

const OPTIONS: ListenOptions = {
  backlog: 16,
  reusePort: false,
  umask: 0o022,
  owner: undefined,
  chdir: tmpdir(),
}
const BINDERS =
  native === null
    ? [['node', nodeBinder] as const]
    : [['node', nodeBinder] as const, ['native', createNativeBinder(native)] as const]

const kept = new Set<object>()

for (const [name, binder] of BINDERS) {
  test(`${name}: another process can serve a bound TCP socket`, async (t) => {
    const { fd, address, close } = binder.bindTcp(
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      OPTIONS,
    )
    t.teardown(close)
    if (address.kind !== 'tcp') return t.fail(address.kind)
    t.is(address.host, '127.0.0.1')
    t.true(address.port > 0)
    t.is(await responseFrom(fd, { host: '127.0.0.1', port: address.port }), 'served')
  })

  test(`${name}: binding an address in use throws EADDRINUSE`, async (t) => {
    const holder = net.createServer().listen(0, '127.0.0.1')
    t.teardown(() => holder.close())
    await new Promise((done) => holder.once('listening', done))
    const { port } = holder.address() as net.AddressInfo
    t.throws(() => binder.bindTcp({ kind: 'tcp', host: '127.0.0.1', port }, OPTIONS), {
      code: 'EADDRINUSE',
    })
  })

  test(`${name}: a unix socket serves, and an abstract socket has its name`, async (t) => {
    const path = join(temporaryDirectory('socket'), 'a.sock')
    const { fd, close } = binder.bindUnix(path, OPTIONS)
    t.teardown(close)
    t.is(await responseFrom(fd, { path }), 'served')
    if (process.platform !== 'linux') return
    const abstract = binder.bindUnix(`\0${path}`, OPTIONS)
    t.teardown(abstract.close)
    // Some versions of Node pad the name with zeros; the addon does not.
    t.regex(readFileSync('/proc/net/unix', 'utf8'), new RegExp(` @${path}@*$`, 'm'))
  })

  test(`${name}: an inherited descriptor is adopted, and a closed one is an error`, (t) => {
    const made = binder.bindTcp({ kind: 'tcp', host: '127.0.0.1', port: 0 }, OPTIONS)
    const adopted = binder.adopt(made.fd, OPTIONS)
    t.deepEqual(adopted.address, made.address)
    t.throws(() => binder.adopt(999, OPTIONS), { code: name === 'native' ? 'EBADF' : 'EINVAL' })
    // Both have the same descriptor, which only one may close. Garbage collection would close it.
    kept.add(made).add(adopted)
  })
}

test('an IPv6 address is normalized and keeps its zone', async (t) => {
  t.is(await resolveHost('0:0:0:0:0:0:0:1'), '::1')
  t.is(await resolveHost('fe80::1%eth0'), 'fe80::1%eth0')
})

test('a listener has an address and a port, and its socket file is removed with it', async (t) => {
  const chdir = temporaryDirectory('socket')
  const tcp = await open('localhost:0', { ...OPTIONS, chdir })
  t.is(tcp.address, `http://127.0.0.1:${tcp.port}`)
  tcp.close({ unlink: true })
  const unix = await open('unix:b.sock', { ...OPTIONS, chdir })
  t.is(unix.address, `unix:${join(chdir, 'b.sock')}`)
  t.is(unix.port, undefined)
  t.true(statSync(join(chdir, 'b.sock')).isSocket())
  unix.close({ unlink: true })
  t.false(existsSync(join(chdir, 'b.sock')))
})

const refused = test.macro({
  async exec(t, bind: string, reason: RegExp) {
    const error = await t.throwsAsync(open(bind, OPTIONS))
    t.regex(error?.message ?? '', reason)
  },
  title: (_, bind) => `opening the bind address ${bind} fails with a reason`,
})

test(
  refused,
  '8.8.8.8:0',
  /cannot listen at 8\.8\.8\.8:0: no interface of this machine has the address/,
)
test(refused, 'host.invalid:0', /the host name has no address|EAI_AGAIN/)
test(refused, 'unix:/nowhere/a.sock', /cannot listen at unix:\/nowhere\/a\.sock/)
test(refused, '9000', /for a port write ":9000"/)

test('a file that is not a socket is not removed', async (t) => {
  const chdir = temporaryDirectory('socket')
  writeFileSync(join(chdir, 'plain'), 'mine')
  const error = await t.throwsAsync(open('unix:plain', { ...OPTIONS, chdir }))
  t.regex(error?.message ?? '', /the file is not a socket/)
})

function open(bind: string, options: ListenOptions) {
  return openListener({ system: new FakeSystem(), log: fakeLog([]) }, bind, options)
}

/** Serves the descriptor in another process, as a worker on node:http does, and connects once. */
async function responseFrom(fd: number, to: net.NetConnectOpts): Promise<string> {
  const source = `require('node:net').createServer((socket) => socket.end('served'))
    .listen({ fd: 3 }, () => console.log('listening'))`
  const child = spawn(process.execPath, ['-e', source], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
  })
  try {
    await new Promise((done) => child.stdout?.once('data', done))
    return await new Promise<string>((done, fail) => {
      let text = ''
      net
        .connect(to)
        .on('data', (chunk) => {
          text += String(chunk)
        })
        .on('end', () => done(text))
        .on('error', fail)
    })
  } finally {
    child.kill('SIGKILL')
  }
}
