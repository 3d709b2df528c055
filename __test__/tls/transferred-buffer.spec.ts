// A response whose memory the program transfers and drops while it is being sent: the worker
// survives.
import { once } from 'node:events'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import test from 'ava'
import { native, nativeFailure } from '../../ts/native/index.ts'
import { startProgram } from '../process/program.ts'
import { Certificates } from './certificates.ts'

const APP = `const { readFileSync } = require('node:fs')
require('node:v8').setFlagsFromString('--expose-gc')
const gc = require('node:vm').runInNewContext('gc')
const options = { cert: readFileSync('one.pem'), key: readFileSync('one.key') }
require('node:https').createServer(options, (req, res) => {
  if (req.url === '/pid') return res.end(String(process.pid))
  const bytes = new Uint8Array(16e6)
  res.end(bytes)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  gc()
}).listen(8443)`

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test('transferring a response buffer while it is sent crashes no worker', async (t) => {
    const certificates = new Certificates(t).selfSigned('one')
    const program = startProgram(t, {
      files: { ...certificates.files(), 'app.cjs': APP },
      args: ['./app.cjs', '--engine', 'native', '-b', '127.0.0.1:0'],
    })
    const [, port] = await program.line(/Listening at: https?:\/\/127\.0\.0\.1:(\d+)/)
    await program.line(/TLS: the program's own certificate is shown/)
    const ask = (path: string) =>
      https.get({ port, path, host: '127.0.0.1', agent: false, rejectUnauthorized: false })
    const pid = async () => {
      const [answer] = await once(ask('/pid'), 'response')
      return text(answer)
    }
    const before = await pid()
    const request = ask('/').on('error', () => {})
    request.on('response', (answer) => answer.on('error', () => {}).resume())
    await once(request, 'close')
    t.is(await pid(), before)
  })
}
