// The types of the package: the TypeScript of the pages compiles unchanged, and what is
// wrong does not.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { needs } from '../requirements.ts'
import { directoryWith } from '../settings/directory.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PAGES = ['api.md', 'hooks.md', 'settings.md', 'tls.md']
const EXAMPLE = /^```(?:ts|js)\n(.*?import .*?)^```$/gms

const RIGHT = `import { type ConfigFile, defineConfig } from 'monoceros'

export const config: ConfigFile = defineConfig({
  bind: ['0.0.0.0:8000', 'unix:/run/app.sock'],
  workers: 'auto',
  limit_request_body: '10m',
  umask: '007',
  when_ready: './hooks.js:ready',
  on_exit: null,
  pre_fork: (server, worker) => ({ env: { WORKER: String(worker.age + server.num_workers) } }),
  on_reload: async (server) => server.log.info(server.LISTENERS.join()),
  post_fork: (server, worker) => worker.notify(),
})
`

const WRONG = [
  'workers: {}',
  'when_ready: 3',
  'worker_int: (worker) => worker.kill()',
  'post_worker_init: (worker, server) => {}',
  'ssl_context: () => 3',
  'umask: true',
  'no_such_setting: 1',
]
  // The compiler reports a missing error.
  .map((given) => `defineConfig({\n  // @ts-expect-error\n  ${given},\n})\n`)
  .join('')

async function compile(t: ExecutionContext, files: Record<string, string>): Promise<string> {
  const directory = directoryWith(t, { 'package.json': '{ "type": "module" }', ...files })
  mkdirSync(join(directory, 'node_modules'))
  symlinkSync(ROOT, join(directory, 'node_modules/monoceros'))
  symlinkSync(join(ROOT, 'node_modules/@types'), join(directory, 'node_modules/@types'))
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--types', 'node']
  const args = [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, ...Object.keys(files)]
  return promisify(execFile)(process.execPath, args, { cwd: directory }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  )
}

const typed = needs('a build', existsSync(join(ROOT, 'dist/index.d.ts')), test)

typed('the examples of the pages compile in strict mode', async (t) => {
  const files: Record<string, string> = {}
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, 'docs', page), 'utf8')
    const examples = [...text.matchAll(EXAMPLE)].map((match) => match[1] ?? '')
    t.true(examples.length > 0, page)
    for (const [index, example] of examples.entries()) {
      files[`${page.replace('.md', '')}-${index}.ts`] = example
    }
  }
  t.is(await compile(t, files), '')
})

typed('a config file may set what the settings accept, and nothing else', async (t) => {
  t.is(await compile(t, { 'monoceros.config.ts': RIGHT + WRONG }), '')
})
