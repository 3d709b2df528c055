// Which methods the native engine accepts, and as which the application receives them.

import test from 'ava'

import { native, nativeFailure } from '../../ts/native/index.ts'
import { serveArgs, startProgram } from '../process/program.ts'
import { ask } from './connection.ts'

const PERMIT = '--permit-unconventional-http-method'
const CASEFOLD = '--casefold-http-method'

/** The method that the application receives for `get`; undefined if the request is refused. */
const ROWS: readonly (readonly [title: string, args: readonly string[], received?: string])[] = [
  ['a method in lower case is refused by default', []],
  ['casefold_http_method alone permits no method in lower case', [CASEFOLD]],
  ['permit_unconventional_http_method passes on a method in lower case', [PERMIT], 'get'],
  ['casefold_http_method converts a method to upper case', [PERMIT, CASEFOLD], 'GET'],
]

for (const [title, args, received] of ROWS) {
  if (native === null) test.skip(`${title}: ${nativeFailure}`, () => {})
  else {
    test.serial(title, async (t) => {
      const program = startProgram(t, {
        files: { 'app.cjs': 'module.exports = (req, res) => res.end(req.method)' },
        args: serveArgs('native', '-w', '1', ...args),
      })
      const { port } = await program.ready(1)
      const { status, body } = await ask(port, 'get / HTTP/1.1\r\nHost: x\r\n\r\n')
      if (received === undefined) t.is(status, 400)
      else t.deepEqual([status, body], [200, received])
    })
  }
}
