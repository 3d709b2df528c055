// What a proxy may forward about the client, and the path at which an application is mounted, as
// the application and the access log see them. Loopback has several addresses, so a test can send
// from a proxy and from another peer.

import test from 'ava'
import { ENGINES, serveArgs, startProgram } from '../process/program.ts'
import { ask } from './connection.ts'

const APP = `module.exports = (req, res) => res.end(JSON.stringify({
  url: req.url,
  baseUrl: 'baseUrl' in req ? req.baseUrl : null,
  originalUrl: 'originalUrl' in req ? req.originalUrl : null,
  address: req.socket.remoteAddress,
  port: req.socket.remotePort ?? null,
  family: req.socket.remoteFamily,
  secure: 'encrypted' in req.socket && req.socket.encrypted,
  host: req.headers.host,
  fields: req.rawHeaders.filter((_, at) => at % 2 === 0).join(),
}))`

const FETCH = `module.exports = {
  fetch: (request, env) => Response.json({
    url: request.url,
    mount: env.SCRIPT_NAME,
    address: env.requestIP(request).address,
  }),
}`

const EXPRESS_PATH = new URL('../../node_modules/express', import.meta.url).pathname

const EXPRESS = `const express = require(${JSON.stringify(EXPRESS_PATH)})
const app = express()
const router = express.Router()
router.get('/inner', ({ url, baseUrl, originalUrl }, res) => {
  res.json({ url, baseUrl, originalUrl })
})
app.use('/outer', router)
module.exports = app`

const PROXY = '127.0.0.1'
const STRANGER = '127.0.0.2'

interface Case {
  /** Field lines, or a whole target where it begins with a slash or has a scheme. */
  readonly sends: readonly string[]
  readonly target?: string
  readonly method?: string
  readonly from?: string
  /** What the application sees, in part; or the status of a refusal. */
  readonly seen: number | Readonly<Record<string, unknown>>
}

interface Group {
  readonly title: string
  readonly args: readonly string[]
  readonly config?: object
  readonly env?: Record<string, string>
  readonly app?: string
  readonly cases: readonly Case[]
}

const plain = { address: PROXY, family: 'IPv4', secure: false, host: 'x' }
const unmounted = { baseUrl: null, originalUrl: null }

const GROUPS: readonly Group[] = [
  {
    title: 'a trusted proxy sets only the scheme by default',
    args: [],
    cases: [
      { sends: [], seen: { ...plain, ...unmounted, url: '/' } },
      { sends: ['X-Forwarded-Proto: https'], seen: { ...plain, secure: true } },
      { sends: ['X-Forwarded-Protocol: ssl'], seen: { secure: true } },
      { sends: ['X-Forwarded-Ssl: on'], seen: { secure: true } },
      { sends: ['X-Forwarded-Proto: https', 'X-Forwarded-Ssl: on'], seen: { secure: true } },
      { sends: ['X-Forwarded-Proto: http'], seen: { secure: false } },
      { sends: ['X-Forwarded-Proto: HTTPS'], seen: { secure: false } },
      { sends: ['X-Forwarded-Proto: https', 'X-Forwarded-Ssl: off'], seen: 400 },
      { sends: ['X-Forwarded-Proto: https', 'X-Forwarded-Proto: http'], seen: 400 },
      { sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: a.example'], seen: plain },
      { sends: ['Forwarded: for=192.0.2.7;host=a.example;proto=https'], seen: plain },
      { sends: ['SCRIPT_NAME: /app'], target: '/app/x', seen: { url: '/x', baseUrl: '/app' } },
      { sends: ['X_Forwarded_Proto: https', 'A_B: c'], seen: { ...plain, fields: 'Host' } },
    ],
  },
  {
    title: 'fields of a client that is not trusted are ignored',
    args: ['--forwarded-headers', 'x-forwarded'],
    cases: [
      {
        sends: ['X-Forwarded-Proto: https'],
        from: STRANGER,
        seen: { ...plain, address: STRANGER },
      },
      {
        sends: ['X-Forwarded-Proto: https', 'X-Forwarded-Ssl: off'],
        from: STRANGER,
        seen: { secure: false },
      },
      { sends: ['X-Forwarded-For: 192.0.2.7'], from: STRANGER, seen: { address: STRANGER } },
      { sends: ['X-Forwarded-Host: a.example'], from: STRANGER, seen: { host: 'x' } },
      { sends: ['SCRIPT_NAME: /app'], target: '/app', from: STRANGER, seen: { url: '/app' } },
      { sends: ['SCRIPT_NAME: /app'], from: STRANGER, seen: { ...unmounted, fields: 'Host' } },
    ],
  },
  {
    title: 'X-Forwarded-For and X-Forwarded-Host set address and host',
    args: [
      ...['--forwarded-headers', 'x-forwarded'],
      ...['--forwarded-allow-ips', '127.0.0.1,10.0.0.0/8,2001:db8:1::/48'],
    ],
    cases: [
      {
        sends: ['X-Forwarded-For: 192.0.2.7'],
        seen: { address: '192.0.2.7', port: null, family: 'IPv4' },
      },
      { sends: ['X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.2.3'], seen: { address: '192.0.2.7' } },
      {
        sends: ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-For: 192.0.2.7,10.1.2.3'],
        seen: { address: '192.0.2.7' },
      },
      { sends: ['X-Forwarded-For: 10.3.3.3, 10.1.2.3'], seen: { address: '10.3.3.3' } },
      { sends: ['X-Forwarded-For: , 192.0.2.7,, ,'], seen: { address: '192.0.2.7' } },
      {
        sends: ['X-Forwarded-For: 2001:db8:2::7, 2001:db8:1::1'],
        seen: { address: '2001:db8:2::7', family: 'IPv6' },
      },
      { sends: ['X-Forwarded-For: "[2001:db8:2::7]:5"'], seen: { address: PROXY } },
      {
        sends: ['X-Forwarded-For: [2001:db8:2::7]:5'],
        seen: { address: '2001:db8:2::7', port: 5 },
      },
      { sends: ['X-Forwarded-For: 192.0.2.7:5000'], seen: { address: '192.0.2.7', port: 5000 } },
      { sends: ['X-Forwarded-For: 6.6.6.6, unknown'], seen: { address: PROXY } },
      { sends: ['X-Forwarded-For: unknown, 10.1.2.3'], seen: { address: '10.1.2.3' } },
      { sends: ['X-Forwarded-For: '], seen: { address: PROXY } },
      {
        sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: a.example'],
        seen: { address: '192.0.2.7', host: 'a.example' },
      },
      {
        sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: e.example, a.example'],
        seen: { host: 'a.example' },
      },
      { sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: a b'], seen: 400 },
      { sends: ['X-Forwarded-Host: a.example'], seen: { host: 'x' } },
      { sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: a:65536'], seen: 400 },
      { sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: [::x]'], seen: 400 },
      {
        sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: [::1]:1'],
        seen: { host: '[::1]:1' },
      },
      { sends: ['X-Forwarded-For: 192.0.2.7:65536'], seen: { address: PROXY } },
      { sends: ['X-Forwarded-For: [192.0.2.7]'], seen: { address: PROXY } },
      { sends: ['X-Forwarded-For: fe80::1%eth0'], seen: { address: PROXY } },
      { sends: ['X-Forwarded-For: 2001:0DB8:2::0:7'], seen: { address: '2001:db8:2::7' } },
      {
        sends: ['X-Forwarded-For: 2001:DB8:2::7', 'Forwarded: for="[2001:db8:2:0::7]:1"'],
        seen: { address: '2001:db8:2::7' },
      },
      { sends: ['X-Forwarded-For: 192.0.2.7', 'Forwarded: for=192.0.2.7;host=a:b'], seen: 400 },
      { sends: ['X-Forwarded-For: 192.0.2.7', 'Forwarded: for=192.0.2.8'], seen: 400 },
      {
        sends: ['X-Forwarded-For: 192.0.2.7', 'Forwarded: for=192.0.2.7'],
        seen: { address: '192.0.2.7' },
      },
      {
        sends: ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: https'],
        seen: { address: '192.0.2.7', secure: true },
      },
    ],
  },
  {
    title: 'Forwarded sets address, host and scheme',
    args: ['--forwarded-headers', 'forwarded', '--forwarded-allow-ips', '127.0.0.1,10.0.0.0/8'],
    cases: [
      {
        sends: ['Forwarded: for=192.0.2.7;proto=https;host=a.example'],
        seen: { address: '192.0.2.7', secure: true, host: 'a.example' },
      },
      {
        sends: [
          'Forwarded: for=6.6.6.6;host=e.example, For="192.0.2.7:80" ;Proto=HTTPS, for=10.1.1.1',
        ],
        seen: { address: '192.0.2.7', secure: true, host: 'x' },
      },
      {
        sends: ['Forwarded: for=6.6.6.6', 'Forwarded: for="[2001:db8::7]:80"'],
        seen: { address: '2001:db8::7' },
      },
      { sends: ['Forwarded: for=6.6.6.6, for=unknown'], seen: { address: PROXY } },
      { sends: ['Forwarded: for=_hidden'], seen: { address: PROXY } },
      { sends: ['Forwarded: , for=192.0.2.7, ,'], seen: { address: '192.0.2.7' } },
      { sends: ['Forwarded: for="192.0.2.7, for=192.0.2.8'], seen: 400 },
      { sends: ['Forwarded: for=192.0.2.7;for=192.0.2.8'], seen: 400 },
      { sends: ['Forwarded: for=192.0.2.7;proto=gopher'], seen: 400 },
      { sends: ['Forwarded: for=192.0.2.7;proto=http', 'X-Forwarded-Proto: https'], seen: 400 },
      { sends: ['Forwarded: for=192.0.2.7', 'X-Forwarded-For: 192.0.2.8'], seen: 400 },
    ],
  },
  {
    title: 'root_path sets the mount path',
    args: ['--root-path', 'app/'],
    cases: [
      {
        sends: [],
        target: '/app/x?y=/app',
        seen: { url: '/x?y=/app', baseUrl: '/app', originalUrl: '/app/x?y=/app' },
      },
      { sends: [], target: '/app', seen: { url: '/', baseUrl: '/app', originalUrl: '/app' } },
      { sends: [], target: '/app/', seen: { url: '/', originalUrl: '/app/' } },
      { sends: [], target: '/app?q', seen: { url: '/?q', originalUrl: '/app?q' } },
      { sends: [], target: '/app//x', seen: { url: '//x' } },
      { sends: [], target: '/apple', seen: 500 },
      { sends: [], target: '/', seen: 500 },
      { sends: [], target: '/App/x', seen: 500 },
      { sends: [], target: '/%61pp/x', seen: 500 },
      {
        sends: [],
        target: 'http://x/app/y',
        seen: { url: 'http://x/y', originalUrl: 'http://x/app/y' },
      },
      { sends: [], target: 'http://x/', seen: 500 },
      { sends: [], target: '*', method: 'OPTIONS', seen: { ...unmounted, url: '*' } },
      {
        sends: ['SCRIPT_NAME: /deep/er/'],
        target: '/deep/er/x',
        seen: { url: '/x', baseUrl: '/deep/er' },
      },
      { sends: ['SCRIPT_NAME: /deep'], target: '/app/x', seen: 500 },
      { sends: ['SCRIPT_NAME: '], target: '/x', seen: { ...unmounted, url: '/x' } },
      { sends: ['SCRIPT_NAME: /deep', 'SCRIPT_NAME: /deep'], target: '/deep/x', seen: 400 },
      { sends: ['SCRIPT_NAME: //evil.example'], target: '//evil.example/x', seen: 400 },
      { sends: ['SCRIPT_NAME: /deep?'], target: '/deep?/x', seen: 400 },
      {
        sends: ['SCRIPT_NAME: /deep'],
        target: '/app/x',
        from: STRANGER,
        seen: { baseUrl: '/app' },
      },
    ],
  },
  {
    title: 'SCRIPT_NAME in the environment sets the mount path',
    args: [],
    env: { SCRIPT_NAME: '/env/' },
    cases: [
      { sends: [], target: '/env/x', seen: { url: '/x', baseUrl: '/env', originalUrl: '/env/x' } },
      { sends: [], target: '/environment', seen: 500 },
    ],
  },
  {
    title: 'a Request has the whole URL, and env has the mount path',
    args: ['--root-path', '/app', '--forwarded-headers', 'x-forwarded'],
    app: FETCH,
    cases: [
      { sends: [], target: '/app/y?z', seen: { url: 'http://x/app/y?z', mount: '/app' } },
      {
        sends: [
          'X-Forwarded-For: 192.0.2.7',
          'X-Forwarded-Proto: https',
          'X-Forwarded-Host: a.example',
          'SCRIPT_NAME: /b',
        ],
        target: '/b/c',
        seen: { url: 'https://a.example/b/c', mount: '/b', address: '192.0.2.7' },
      },
      { sends: [], target: '/other', seen: 500 },
    ],
  },
  {
    title: 'secure_scheme_headers selects the fields that report https',
    args: [],
    config: { secure_scheme_headers: { 'X-Scheme': 'tls' } },
    cases: [
      { sends: ['X-Scheme: tls'], seen: { secure: true } },
      { sends: ['X-Scheme: ssl'], seen: { secure: false } },
      { sends: ['X-Scheme: tls'], from: STRANGER, seen: { secure: false } },
      { sends: ['X-Forwarded-Proto: https'], seen: { secure: false } },
    ],
  },
  {
    title: 'forwarder_headers selects the fields with underscores that a trusted proxy may set',
    args: ['--forwarder-headers', 'REMOTE_USER'],
    cases: [
      { sends: ['Remote_User: ann', 'A_B: c'], seen: { fields: 'Host,Remote_User' } },
      { sends: ['REMOTE_USER: ann'], from: STRANGER, seen: { fields: 'Host' } },
      { sends: ['SCRIPT_NAME: /app'], target: '/app', seen: { url: '/app', fields: 'Host' } },
    ],
  },
  {
    title: 'header_map "refuse" rejects a field with an underscore',
    args: ['--header-map', 'refuse'],
    cases: [
      { sends: ['A_B: c'], seen: 400 },
      { sends: ['A-B: c', 'SCRIPT_NAME: /app'], target: '/app', seen: { baseUrl: '/app' } },
    ],
  },
  {
    title: 'header_map "dangerous" passes on a field with an underscore',
    args: ['--header-map', 'dangerous'],
    cases: [{ sends: ['A_B: c'], from: STRANGER, seen: { fields: 'Host,A_B' } }],
  },
  {
    title: "Express's routers start at the mount path",
    args: ['--root-path', '/app'],
    app: EXPRESS,
    cases: [
      {
        sends: [],
        target: '/app/outer/inner',
        seen: { url: '/inner', baseUrl: '/app/outer', originalUrl: '/app/outer/inner' },
      },
    ],
  },
]

for (const engine of ENGINES) {
  for (const { title, args, config = {}, env = {}, app = APP, cases } of GROUPS) {
    test.serial(`${engine}: ${title}`, async (t) => {
      const files = { 'app.cjs': app, 'monoceros.config.json': JSON.stringify(config) }
      const program = startProgram(t, { files, env, args: serveArgs(engine, ...args) })
      const { port } = await program.ready(1)
      for (const { sends, target = '/', method = 'GET', from = PROXY, seen } of cases) {
        const lines = [`${method} ${target} HTTP/1.1`, 'Host: x', ...sends, '', '']
        const { status, body } = await ask(port, lines.join('\r\n'), from)
        const name = `${method} ${target} ${sends.join('; ')} from ${from}`
        if (typeof seen === 'number') {
          t.is(status, seen, name)
          continue
        }
        t.is(status, 200, `${name}: ${body}`)
        t.like(JSON.parse(body), seen, name)
      }
    })
  }
}
