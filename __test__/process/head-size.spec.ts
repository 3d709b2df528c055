// How large a request head may be by default, and with Node's own option.

import test from 'ava'

import { appSource, ENGINES, serveArgs, startProgram } from './program.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: a URL of 16000 bytes is served by default`, async (t) => {
    const files = { 'app.cjs': appSource('1') }
    const program = await startProgram(t, { files, args: serveArgs(engine, '-w', '1') }).ready(1)
    t.is((await program.get(`/?${'x'.repeat(16_000)}`)).status, 200)
    const { status } = await program.get(`/?${'x'.repeat(17_000)}`)
    t.is(status, 414)
  })

  test.serial(`${engine}: --max-http-header-size limits the head`, async (t) => {
    const files = { 'app.cjs': appSource('1') }
    const env = { NODE_OPTIONS: '--max-http-header-size=40000' }
    const options = { files, env, args: serveArgs(engine, '-w', '1') }
    const program = await startProgram(t, options).ready(1)
    t.is((await program.get(`/?${'x'.repeat(30_000)}`)).status, 200)
    t.true((await program.get(`/?${'x'.repeat(41_000)}`)).status >= 414)
  })
}
