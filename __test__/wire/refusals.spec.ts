// The error response to a refused client, in the format that it accepts, and its access log line.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { serveArgs, startProgram, until } from '../process/program.ts'
import { needsAddon } from '../requirements.ts'
import { Connection } from './connection.ts'

const FILES = { 'app.cjs': "module.exports = (req, res) => res.end('served')" }
const LIMITS = [
  ...[
    '--limit-request-line',
    '100',
    '--limit-request-fields',
    '5',
    '--limit-request-field-size',
    '500',
  ],
  ...['--limit-request-body', '10', '--root-path', '/app', '--header-timeout', '1'],
  ...['--request-timeout', '60', '--proxy-protocol', 'v1', '--proxy-allow-from', '127.0.0.9'],
  ...[
    '--access-logfile',
    'access.log',
    '--access-logformat',
    '%(h)s "%(r)s" %(s)s "%({user-agent}i)s"',
  ],
]

interface Refused {
  readonly bytes: string
  readonly status: number
  /** What is wrong, in words. */
  readonly text: string
  /** The line of the access log: the request and its agent. */
  readonly line: string
}

/** A head with an agent. */
function head(line: string, ...fields: string[]): string {
  return [line, 'Host: x', 'User-Agent: me', ...fields, '', ''].join('\r\n')
}

const REFUSED: readonly Refused[] = [
  {
    bytes: 'GET /app/no-host HTTP/1.1\r\nUser-Agent: me\r\n\r\n',
    status: 400,
    text: 'The Host header field is missing, repeated or malformed.',
    line: '"GET /app/no-host HTTP/1.1" 400 "me"',
  },
  {
    bytes: 'BAD\r\n\r\n',
    status: 400,
    text: 'The request line is malformed.',
    line: '"- - -" 400 "-"',
  },
  {
    bytes: head('GET /app/both HTTP/1.1', 'Content-Length: 1', 'Transfer-Encoding: chunked'),
    status: 400,
    text: 'Transfer-Encoding is malformed or not allowed here.',
    line: '"GET /app/both HTTP/1.1" 400 "me"',
  },
  {
    bytes: `PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n${head('GET /app/proxy HTTP/1.1')}`,
    status: 403,
    text: 'The PROXY protocol is not allowed from here.',
    line: '"- - -" 403 "-"',
  },
  {
    bytes: 'GET /app/slow HTTP/1.1\r\nUser-Agent: me\r\n',
    status: 408,
    text: 'The request did not arrive in time.',
    line: '"GET /app/slow HTTP/1.1" 408 "me"',
  },
  {
    bytes: head('POST /app/large HTTP/1.1', 'Content-Length: 11'),
    status: 413,
    text: 'The request body is too large.',
    line: '"POST /app/large HTTP/1.1" 413 "me"',
  },
  {
    bytes: head(`GET /app/${'a'.repeat(100)} HTTP/1.1`),
    status: 414,
    text: 'The request line is too long.',
    line: `"GET /app/${'a'.repeat(100)} HTTP/1.1" 414 "me"`,
  },
  {
    bytes: head('GET /app/many HTTP/1.1', 'A: b', 'A: b', 'A: b', 'A: b'),
    status: 431,
    text: 'The request has too many header fields.',
    line: '"GET /app/many HTTP/1.1" 431 "me"',
  },
  {
    bytes: head('GET /app/wide HTTP/1.1', `A: ${'b'.repeat(500)}`),
    status: 431,
    text: 'A header field is too large.',
    line: '"GET /app/wide HTTP/1.1" 431 "me"',
  },
  {
    bytes: head('GET /other HTTP/1.1'),
    status: 500,
    text:
      'Configuration problem: ' +
      'the request is not below the path at which the application is mounted.',
    line: '"GET /other HTTP/1.1" 500 "me"',
  },
  {
    bytes: head('POST /app/coded HTTP/1.1', 'Transfer-Encoding: gzip'),
    status: 501,
    text: 'The transfer coding is not implemented.',
    line: '"POST /app/coded HTTP/1.1" 501 "me"',
  },
  {
    bytes: head('GET /app/newer HTTP/2.0'),
    status: 505,
    text: 'The HTTP version is not supported.',
    line: '"GET /app/newer HTTP/2.0" 505 "me"',
  },
]

/** What a client accepts, and the type and form that it gets. */
const FORMS: readonly (readonly [string | undefined, string, (body: string) => string])[] = [
  [undefined, 'text/plain', (body) => body.trim()],
  ['*/*', 'text/plain', (body) => body.trim()],
  [
    'text/html,application/xhtml+xml,*/*;q=0.8',
    'text/html',
    (body) => /<p>(.*)<\/p>/.exec(body)?.[1] ?? body,
  ],
  ['application/json', 'application/json', (body) => JSON.parse(body).message ?? body],
]

// On the engine on node:http, Node's parser refuses (docs/engines.md).
const onNative = needsAddon(test)

onNative(
  'each error response gives the reason, closes the connection, and is in the access log',
  async (t) => {
    const program = startProgram(t, { files: FILES, args: serveArgs('native', ...LIMITS) })
    const { port } = await program.ready(1)
    for (const { bytes, status, text } of REFUSED) {
      const connection = new Connection(port).send(bytes)
      const answer = await connection.answer()
      t.is(answer.status, status, bytes)
      t.is(answer.body.trim(), text, bytes)
      t.is(answer.fields.connection, 'close')
      t.regex(answer.fields.date ?? '', / GMT$/)
      t.is(await connection.end(), '')
    }
    const log = () => readFileSync(join(program.directory, 'access.log'), 'utf8').split('\n')
    await until(() => log().length > REFUSED.length, 'a line for each')
    t.deepEqual(
      log().slice(0, -1),
      REFUSED.map(({ line }) => `127.0.0.1 ${line}`),
    )
  },
)

onNative('a refusal has the form that the client likes best', async (t) => {
  const program = startProgram(t, { files: FILES, args: serveArgs('native', ...LIMITS) })
  const { port } = await program.ready(1)
  for (const [accept, type, textOf] of FORMS) {
    const wish = accept === undefined ? [] : [`Accept: ${accept}`]
    for (const [method, line] of [
      ['GET', 'GET /other HTTP/1.1'],
      ['POST', 'POST /app HTTP/1.1'],
    ] as const) {
      const fields = method === 'POST' ? ['Content-Length: 11', ...wish] : wish
      const answer = await new Connection(port).send(head(line, ...fields)).answer()
      t.is(answer.fields['content-type']?.split(';')[0], type, `${accept}`)
      t.is(answer.fields['content-length'], String(answer.body.length))
      t.regex(
        textOf(answer.body),
        method === 'GET' ? /^Configuration problem/ : /^The request body is too large/,
      )
    }
  }
  // An answer to HEAD has only the length of one.
  const connection = new Connection(port).send(head('HEAD /other HTTP/1.1'))
  const answer = await connection.answer(true)
  t.true(answer.status === 500 && Number(answer.fields['content-length']) > 0)
  t.is(await connection.end(), '')
})
