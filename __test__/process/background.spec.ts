import test from 'ava'
import { ENGINES, serveArgs, startProgram } from './program.ts'

const APP = `export default {
  fetch(request, env, context) {
    context.waitUntil(new Promise((resolve) => setTimeout(() => {
      console.error('the work has ended')
      resolve()
    }, Number(new URL(request.url).pathname.slice(1)))))
    return new Response('answered')
  },
}`

for (const engine of ENGINES) {
  test.serial(`${engine}: waitUntil holds up a drain`, async (t) => {
    const args = serveArgs(engine, '-w', '1').with(0, './app.mjs')
    const program = await startProgram(t, { args, files: { 'app.mjs': APP } }).ready(1)
    t.is((await program.get('/700')).body, 'answered')
    program.signal('SIGTERM')
    await program.line(/the work has ended/)
    t.is(await program.exited, 0)
  })

  test.serial(`${engine}: waitUntil holds up no longer than graceful_timeout`, async (t) => {
    const args = serveArgs(engine, '-w', '1', '--graceful-timeout', '1').with(0, './app.mjs')
    const program = await startProgram(t, { args, files: { 'app.mjs': APP } }).ready(1)
    t.is((await program.get('/60000')).body, 'answered')
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    t.notRegex(program.log, /the work has ended/)
  })
}
