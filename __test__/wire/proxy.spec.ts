// The PROXY protocol on real sockets: both versions, however they are cut, for every request of a
// connection, and what becomes of bad ones and of those who may not send it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ENGINES, serveArgs, startProgram, until } from '../process/program.ts'
import { ask, Connection } from './connection.ts'
import { cut, singleBytes } from './requests.ts'

const APP = `module.exports = (req, res) =>
  res.end([req.socket.remoteAddress, req.socket.remotePort, req.socket.remoteFamily].join(' '))`
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const STRANGER = '127.0.0.2'

const SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]
const V4 = [192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x34, 0x01, 0xbb]
const V6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 7, ...Array(15).fill(0), 1, 0, 80, 0, 81]

/** Version 2: command, family, addresses and what follows them. */
function v2(command: number, family: number, rest: readonly number[]): Buffer {
  return Buffer.from([...SIGNATURE, command, family, rest.length >> 8, rest.length & 255, ...rest])
}

function v1(line: string): Buffer {
  return Buffer.from(`${line}\r\n`, 'latin1')
}

/** What the application sees; undefined is the connection's own client. */
const GOOD: Readonly<Record<string, readonly [Buffer, string | undefined]>> = {
  'version 1, IPv4': [v1('PROXY TCP4 192.0.2.7 192.0.2.1 4660 443'), '192.0.2.7 4660 IPv4'],
  'version 1, IPv6': [v1('PROXY TCP6 2001:db8::7 2001:db8::1 80 81'), '2001:db8::7 80 IPv6'],
  'version 1, unknown': [v1('PROXY UNKNOWN'), undefined],
  'version 1, unknown with more': [v1('PROXY UNKNOWN ffff:: ffff:: 65535 65535'), undefined],
  'version 2, IPv4': [v2(0x21, 0x11, V4), '192.0.2.7 4660 IPv4'],
  'version 2, IPv6': [v2(0x21, 0x21, V6), '2001:db8::7 80 IPv6'],
  'version 2, with further facts': [
    v2(0x21, 0x11, [...V4, 4, 0, 3, 1, 2, 3]),
    '192.0.2.7 4660 IPv4',
  ],
  'version 2, of the proxy itself': [v2(0x20, 0x00, []), undefined],
  'version 2, of a unix socket': [v2(0x21, 0x31, Array(216).fill(0)), undefined],
  'no header': [Buffer.alloc(0), undefined],
}

const BAD: Readonly<Record<string, Buffer>> = {
  'an address that is none': v1('PROXY TCP4 192.0.2 192.0.2.1 1 2'),
  'an address of the other family': v1('PROXY TCP4 ::1 ::1 1 2'),
  'a port that is none': v1('PROXY TCP4 192.0.2.7 192.0.2.1 1 65536'),
  'a word too many': v1('PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3'),
  'two spaces': v1('PROXY  TCP4 192.0.2.7 192.0.2.1 1 2'),
  'a line feed alone': Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n'),
  'a line without end': v1(`PROXY UNKNOWN ${'x'.repeat(200)}`),
  'a version that there is not': v2(0x31, 0x11, V4),
  'a command that there is not': v2(0x22, 0x11, V4),
  'addresses cut short': v2(0x21, 0x11, V4.slice(1)),
  'a family that there is not': v2(0x21, 0x41, V4),
  'more than 4 KiB': v2(0x21, 0x11, [...V4, ...Array(5_000).fill(0)]),
}

function start(t: ExecutionContext, ...args: string[]) {
  const files = { 'app.cjs': APP }
  return startProgram(t, { files, args: serveArgs('native', ...args) }).ready(1)
}

if (ENGINES.includes('native' as never)) {
  test.serial(
    'both versions set the client address of every request of a connection',
    async (t) => {
      const program = await start(t, '--proxy-protocol', 'auto', '--access-logfile', 'access.log')
      for (const [name, [header, expected]] of Object.entries(GOOD)) {
        const bytes = Buffer.concat([header, Buffer.from(GET)])
        const cuts = Array.from({ length: header.length }, (_, at) => cut(bytes, at + 1))
        for (const pieces of [[bytes], singleBytes(bytes), ...cuts.slice(0, 60)]) {
          const connection = new Connection(program.port)
          await connection.sendPieces(pieces)
          for (let count = 0; count < 2; count += 1) {
            const { body } = await connection.answer()
            t.is(body, expected ?? `127.0.0.1 ${connection.socket.localPort} IPv4`, name)
            connection.send(GET)
          }
          connection.destroy()
        }
      }
      const log = join(program.directory, 'access.log')
      await until(
        () => /^2001:db8::7 - - .*"GET \/ HTTP\/1\.1" 200 /m.test(readFileSync(log, 'utf8')),
        'a line',
      )
    },
  )

  test.serial('a malformed header gets 400, and the connection is closed', async (t) => {
    const { port } = await start(t, '--proxy-protocol', 'auto')
    for (const [name, header] of Object.entries(BAD)) {
      const connection = new Connection(port).send(Buffer.concat([header, Buffer.from(GET)]))
      const { status, fields } = await connection.answer()
      t.deepEqual([status, fields.connection], [400, 'close'], name)
      t.is(await connection.end(), '', name)
    }
    // A second header is no request.
    const [header] = GOOD['version 1, IPv4'] ?? [Buffer.alloc(0)]
    t.is((await ask(port, Buffer.concat([header, header, Buffer.from(GET)]))).status, 400)
    const twice = new Connection(port).send(Buffer.concat([header, Buffer.from(GET)]))
    t.is((await twice.answer()).status, 200)
    t.is((await twice.send(header).send(GET).answer()).status, 400)
  })

  test.serial(
    'a client that is not trusted gets 403 with the header, and is served without it',
    async (t) => {
      const { port } = await start(t, '--proxy-protocol', 'auto', '--proxy-allow-from', '127.0.0.1')
      for (const header of [GOOD['version 1, IPv4']?.[0], GOOD['version 2, IPv4']?.[0]]) {
        const bytes = Buffer.concat([header ?? Buffer.alloc(0), Buffer.from(GET)])
        t.is((await ask(port, bytes, STRANGER)).status, 403)
        t.is((await ask(port, bytes)).body, '192.0.2.7 4660 IPv4')
      }
      t.regex((await ask(port, GET, STRANGER)).body, /^127\.0\.0\.2 /)
    },
  )

  test.serial('only the configured version is accepted, and none by default', async (t) => {
    const [text, binary] = [GOOD['version 1, IPv4'], GOOD['version 2, IPv4']].map((good) =>
      Buffer.concat([good?.[0] ?? Buffer.alloc(0), Buffer.from(GET)]),
    ) as [Buffer, Buffer]
    for (const [args, first, second] of [
      [['--proxy-protocol', 'v1'], 200, 400],
      [['--proxy-protocol', 'v2'], 400, 200],
      [[], 400, 400],
    ] as const) {
      const { port } = await start(t, ...args)
      t.is((await ask(port, text)).status, first, `version 1, ${args}`)
      t.is((await ask(port, binary)).status, second, `version 2, ${args}`)
    }
  })

  test.serial('header_timeout covers the PROXY header', async (t) => {
    const { port } = await start(t, '--proxy-protocol', 'v1', '--header-timeout', '1')
    t.is((await ask(port, 'PROXY TCP4 192.0.2.7')).status, 408)
  })
}

test.serial('node: an unsupported proxy_protocol logs one warning, and is ignored', async (t) => {
  const args = ['--proxy-protocol', 'v1', '--casefold-http-method', '--buffer-memory', '0']
  const files = { 'app.cjs': APP }
  const program = startProgram(t, { files, args: serveArgs('node', ...args) })
  const { port } = await program.ready(1)
  t.regex(program.log, /node:http does not support proxy_protocol, casefold_http_method: see docs/)
  t.is(program.log.match(/does not support/g)?.length, 1)
  t.regex((await ask(port, GET)).body, /^127\.0\.0\.1 /)
  t.is((await ask(port, `PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n${GET}`)).status, 400)
})
