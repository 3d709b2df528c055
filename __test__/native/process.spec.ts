// What the addon does for a process, called as the sources call it.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addon, testLinux, testNative } from './addon.ts'

testNative('a bound port accepts, has an address, and is closed by number', async (t) => {
  const { bindTcp, closeFd, localAddress } = addon()
  const fd = bindTcp('127.0.0.1', 0, 16, false, false)
  const { family, address, port } = localAddress(fd)
  t.deepEqual([family, address], ['IPv4', '127.0.0.1'])
  await new Promise<void>((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.on('error', reject).on('connect', () => socket.destroy())
    socket.on('close', () => resolve())
  })
  t.throws(() => bindTcp('127.0.0.1', port, 16, false, false), { code: 'EADDRINUSE' })
  closeFd(fd)
  const again = bindTcp('127.0.0.1', port, 16, false, false)
  t.is(localAddress(again).port, port)
  closeFd(again)
})

testNative('a unix socket binds once, and reports its path', (t) => {
  const { adoptListener, bindUnix, closeFd, localAddress } = addon()
  const directory = mkdtempSync(join(tmpdir(), 'native-'))
  const path = join(directory, 'a.sock')
  const fd = bindUnix(path, 16)
  t.deepEqual(localAddress(fd), { family: 'unix', address: '', port: 0, path })
  t.throws(() => bindUnix(path, 16), { code: 'EADDRINUSE' })
  t.notThrows(() => adoptListener(fd, 16))
  closeFd(fd)
  rmSync(directory, { recursive: true })
})

testNative('errors carry the name of the errno as their code', (t) => {
  const { adoptListener, bindTcp, bindUnix, closeFd, localAddress } = addon()
  t.throws(() => bindUnix('/nonexistent/a.sock', 16), { code: 'ENOENT', instanceOf: Error })
  // An empty label is refused without a lookup.
  t.throws(() => bindTcp('no..host', 80, 16, false, false), { code: 'ENOTFOUND' })
  t.throws(() => bindTcp('192.0.2.1', 80, 16, false, false), {
    code: 'EADDRNOTAVAIL',
    // The text of the errno differs between glibc and musl.
    message: /^listen EADDRNOTAVAIL: [A-Z].+ 192\.0\.2\.1:80$/,
  })
  t.throws(() => closeFd(9_999), { code: 'EBADF' })
  t.throws(() => localAddress(-1), { code: 'EBADF' })
  t.throws(() => adoptListener(-1, 16), { code: 'EBADF' })
})

testNative('the clock is shared by all processes and does not go back', (t) => {
  const first = addon().monotonicMs()
  t.true(first > 0)
  t.true(addon().monotonicMs() >= first)
})

testLinux('a title of any length is whole in ps, and the environment survives it', (t) => {
  const long = `monoceros: arbiter [${'x'.repeat(300)}]`
  // In a process of its own: this one has the runner's title.
  const script = `
    const { execFileSync } = require('node:child_process')
    const { readFileSync } = require('node:fs')
    const { setTitle } = require(process.env.ADDON)
    // What ps reads: arguments end with a zero byte each.
    const shown = () => readFileSync('/proc/self/cmdline', 'utf8').replace(/\\0$/, '')
    const titles = ['short', process.env.LONG, 'short again']
    const seen = titles.map((title) => (setTitle(title) ? shown() : 'refused'))
    process.env.LATER = 'set later'
    const child = execFileSync('sh', ['-c', 'echo "$LATER $PADDING"']).toString().trimEnd()
    console.log(JSON.stringify({ seen, own: process.env.LONG, child }))`
  const padding = 'y'.repeat(2_000)
  const env = { ...process.env, ADDON: addonPath(), LONG: long, PADDING: padding }
  const output = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env })
  t.deepEqual(JSON.parse(output), {
    seen: ['short', long, 'short again'],
    own: long,
    child: `set later ${padding}`,
  })
})

function addonPath(): string {
  return join(import.meta.dirname, '../../dist/native/binding.cjs')
}
