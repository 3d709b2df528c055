import test from 'ava'
import { ENGINES, serveArgs, startProgram } from './program.ts'

const APP = `export default {
  fetch(request, env, context) {
    if (request.url.endsWith('/fails')) context.waitUntil(Promise.reject(new Error('no queue')))
    else 
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

  test.serial(`${engine}: work that fails is logged, and nothing else happens`, async (t) => {
    const args = serveArgs(engine, '-w', '1').with(0, './app.mjs')
    const program = await startProgram(t, { args, files: { 'app.mjs': APP } }).ready(1)
    t.is((await program.get('/fails')).body, 'answered')
    await program.line(
      /\[ERROR\] waitUntil\(\) rejected\n(.*\n)*?Error: no queue\n +at Object\.fetch/,
    )
    t.is((await program.get('/0')).body, 'answered')
  })
}
