// `--reload` on real processes: files change as editors change them, and the next answer is that of
// the new code.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import { startLoad } from './load.ts'
import { ENGINES, get, type Program, serveArgs, startProgram, until } from './program.ts'

interface Form {
  readonly app: string
  readonly part: string
  readonly files: Record<string, string>
  readonly partSource: (version: string) => string
}

/** The application in each form, in two files; the second one is changed. */
const FORMS: Record<string, Form> = {
  cjs: {
    app: 'app.cjs',
    part: 'part.cjs',
    files: {
      'app.cjs': `const part = require('./part.cjs')\nmodule.exports = (q, s) => s.end(part())`,
    },
    partSource: (version) => `module.exports = () => '${version}'`,
  },
  esm: {
    app: 'app.mjs',
    part: 'part.mjs',
    files: {
      'app.mjs': `import { part } from './part.mjs'\nexport default (q, s) => s.end(part())`,
    },
    partSource: (version) => `export const part = () => '${version}'`,
  },
  typescript: {
    app: 'app.ts',
    part: 'part.ts',
    files: {
      'package.json': '{ "type": "module" }',
      'app.ts': `import http from 'node:http'
        import { part } from './part.ts'
        const serve = (q: http.IncomingMessage, s: http.ServerResponse) => { s.end(part()) }
        export default http.createServer(serve)`,
    },
    partSource: (version) => `export const part = (): string => '${version}'`,
  },
}

function started(t: ExecutionContext, form: Form, engine: string, ...more: string[]): Program {
  const files = { ...form.files, [form.part]: form.partSource('one') }
  const args = [form.app, ...serveArgs(engine, '--reload', ...more).slice(1)]
  return startProgram(t, { files, args })
}

/**
 * Waits until the program's directory is watched, alone or as a tree. A worker reports the files
 * that it has loaded before it is ready.
 */
async function watched(program: Program): Promise<void> {
  const end = new RegExp(`Watching .*/${basename(program.directory)}(?:/\\*\\*)?$`, 'm')
  await until(() => end.test(program.log), 'the watch')
}

async function answers(program: Program, body: string, path = '/'): Promise<void> {
  await until(async () => (await program.get(path)).body.includes(body), `the answer ${body}`)
}

for (const engine of ENGINES) {
  for (const [name, form] of Object.entries(FORMS)) {
    test.serial(
      `${engine}, ${name}: a file that is saved is served, and nothing is lost`,
      async (t) => {
        const program = await started(t, form, engine, '-w', '2').ready(2)
        await watched(program)
        const stop = startLoad({ port: program.port, keepAlive: 0, fresh: 2 })
        program.write(form.part, form.partSource('two'))
        await program.line(new RegExp(`Worker reloading: .*/${form.part} modified`))
        for (const _ of [1, 2]) await program.line(/Worker exiting/)
        t.is((await program.get()).body, 'two')
        // Saved by renaming, as editors do.
        program.write('saved.tmp', form.partSource('three'))
        renameSync(join(program.directory, 'saved.tmp'), join(program.directory, form.part))
        await answers(program, 'three')
        t.deepEqual((await stop()).lost, [])
      },
    )
  }

  test.serial(
    `${engine}: a syntax error is a page with file and line until it is mended`,
    async (t) => {
      const form = FORMS.esm as Form
      const program = await started(t, form, engine, '-w', '1').ready(1)
      await watched(program)
      program.write(form.part, 'export const part = 1\nexport const = 2')
      await answers(program, 'failed while loading')
      const plain = await program.get()
      t.is(plain.status, 500)
      t.regex(plain.body, /failed while loading:\n.*part\.mjs:2\nexport const = 2\n/)
      t.regex(plain.body, /\^\n\nSyntaxError: Unexpected token '='/)
      const headers = { accept: 'text/html,*/*' }
      const page = await get({ port: program.port, headers, path: '/<any>' })
      t.is(page.headers['content-type'], 'text/html; charset=utf-8')
      t.regex(page.body, /<pre>application app\.mjs failed/)
      await program.line(/\[ERROR\] application app\.mjs failed while loading/)
      program.write(form.part, form.partSource('mended'))
      await answers(program, 'mended')
    },
  )
}

test.serial(
  'an application that does not load at the start is a page, and a new file mends it',
  async (t) => {
    const program = startProgram(t, {
      files: {
        'app.mjs': `import { part } from './part.mjs'\nexport default (q, s) => s.end(part())`,
      },
      args: ['app.mjs', '-b', '127.0.0.1:0', '--reload', '--log-level', 'debug'],
    })
    await program.ready(1)
    await watched(program)
    const broken = await program.get()
    t.is(broken.status, 500)
    t.regex(broken.body, /Cannot find module .*part\.mjs/)
    program.write('part.mjs', `export const part = () => 'there'`)
    await answers(program, 'there')
  },
)

test.serial('without reload there is no page: the start fails', async (t) => {
  const program = startProgram(t, { files: { 'app.cjs': 'const = 1' }, args: serveArgs('auto') })
  t.is(await program.exited, 3)
})

test.serial('the config file is read again, also after one that cannot be used', async (t) => {
  const config = (greeting: string) => `export default { raw_env: ['GREETING=${greeting}'] }`
  const program = startProgram(t, {
    files: {
      'app.cjs': `module.exports = (q, s) => s.end(process.env.GREETING)`,
      'monoceros.config.mjs': config('hello'),
    },
    args: serveArgs('auto', '--reload', '-w', '1'),
  })
  await program.ready(1)
  await watched(program)
  program.write('monoceros.config.mjs', 'export default { workers: "many" }')
  await program.line(/workers in monoceros\.config\.mjs must be/)
  await program.line(/the old workers keep serving/)
  t.is((await program.get()).body, 'hello')
  program.write('monoceros.config.mjs', config('bye'))
  await program.line(/Reload complete/)
  t.is((await program.get()).body, 'bye')
})

for (const watcher of ['fs.watch', 'poll', 'inotify']) {
  test.serial(
    `${watcher}: extra files and patterns count, and what else is there does not`,
    async (t) => {
      const program = startProgram(t, {
        files: { 'app.cjs': `module.exports = (q, s) => s.end(String(process.pid))`, 'a.txt': '1' },
        args: serveArgs(
          'auto',
          ...['--reload', '--reload-engine', watcher, '-w', '1'],
          ...['--reload-extra-file', 'a.txt', '--reload-extra-file', 'views/**/*.html'],
        ),
      })
      await program.ready(1)
      await watched(program)
      const first = (await program.get()).body
      program.write('unrelated.txt', '1')
      program.write('a.txt', '2')
      await program.line(/Worker reloading: .*a\.txt modified/)
      await program.line(/Worker exiting/)
      const second = (await program.get()).body
      t.not(second, first)
      mkdirSync(join(program.directory, 'views/deep'), { recursive: true })
      writeFileSync(join(program.directory, 'views/deep/new.html'), '1')
      await program.line(/Worker reloading: .*views\/deep\/new\.html modified/)
      await program.line(/Worker exiting/)
      t.not((await program.get()).body, second)
      t.false(program.log.includes('unrelated'))
    },
  )
}

test.serial('a short request is finished, and a blocked worker is killed', async (t) => {
  const source = (version: string) => `module.exports = (q, s) => {
    console.error('Received', q.url)
    if (q.url === '/block') for (;;);
    setTimeout(() => s.end('${version}'), q.url === '/slow' ? 150 : 0)
  }`
  const program = startProgram(t, {
    files: { 'app.cjs': source('old') },
    args: serveArgs('auto', '--reload', '-w', '1'),
  })
  await program.ready(1)
  await watched(program)
  const slow = program.get('/slow')
  await program.line(/Received \/slow/)
  program.write('app.cjs', source('new'))
  t.is((await slow).body, 'old')
  await program.line(/Worker exiting/)
  t.is((await program.get()).body, 'new')
  const blocked = program.get('/block').catch(() => {})
  await program.line(/Received \/block/)
  program.write('app.cjs', source('newest'))
  await program.line(/did not exit in time, killing/)
  // Until it is dead, it may still accept a connection.
  await program.line(/Worker exiting/)
  t.is((await program.get()).body, 'newest')
  await blocked
})
