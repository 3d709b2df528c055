// The files and commands of docs/quickstart.md, unchanged but for ports.

import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { startProgram } from '../process/program.ts'

const PAGE = readFileSync(new URL('../../docs/quickstart.md', import.meta.url), 'utf8')
const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url))
const BLOCK = /`([\w.]+)`:\n\n```js\n([\s\S]*?)```\n\n {4}monoceros (.+)\n/g

const blocks = [...PAGE.matchAll(BLOCK)]

for (const [, file = '', source = '', command = ''] of blocks) {
  test.serial(`${file} of quickstart.md is served`, async (t) => {
    const program = await startProgram(t, {
      files: { [file]: source },
      prepare: (directory) => symlinkSync(MODULES, join(directory, 'node_modules')),
      args: [...command.replace(' :8000', ' 127.0.0.1:0').split(' '), '--log-level', 'debug'],
    }).ready(2)
    const { status, body } = await program.get()
    t.deepEqual({ status, body }, { status: 200, body: 'hello' })
  })
}

test('quickstart.md has a file for each framework', (t) => {
  const files = blocks.map(([, file]) => file)
  t.deepEqual(files, ['express.mjs', 'fastify.mjs', 'koa.mjs', 'hono.mjs', 'chat.cjs'])
})
