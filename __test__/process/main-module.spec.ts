// How programs find out that they were started and not imported: as the main module on node, so
// here.

import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { needs } from '../requirements.ts'
import { startProgram } from './program.ts'

const serve = (text: string) =>
  `http.createServer((req, res) => res.end(String(${text}))).listen(8000)`

/** Title, file, source, answer. */
const PROGRAMS: [string, string, string, string][] = [
  [
    'require.main === module',
    'app.cjs',
    `const http = require('node:http')
exports.main = () => { ${serve(`'main'`)} }
if (require.main === module) exports.main()`,
    'main',
  ],
  [
    'require.main in what it requires, also by another path',
    'link.cjs',
    `const http = require('node:http')
const { filename } = require.main.require('./named.cjs')
${serve('filename() === __filename && process.mainModule === module')}`,
    'true',
  ],
  [
    'require.main of an ES module, which has none',
    'app.mjs',
    `import http from 'node:http'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
${serve('require.main')}`,
    'undefined',
  ],
  [
    'its path in process.argv',
    'app.mjs',
    `import http from 'node:http'
import { fileURLToPath } from 'node:url'
if (process.argv[1] === fileURLToPath(import.meta.url)) ${serve(`'main'`)}`,
    'main',
  ],
]

for (const settings of ['app.cjs -b 127.0.0.1:0 -- --port 1 -w -- x', '-c settings.mjs']) {
  test(`process.argv has the arguments of the application (${settings})`, async (t) => {
    const files = {
      'app.cjs': 'module.exports = (req, res) => res.end(JSON.stringify(process.argv.slice(1)))',
      'settings.mjs': `export default {
        app: 'app.cjs',
        bind: '127.0.0.1:0',
        app_args: ['--port', '1', '-w', '--', 'x'],
      }`,
    }
    const env = { MONOCEROS_LOGLEVEL: 'debug' }
    const program = await startProgram(t, { files, args: settings.split(' '), env }).ready(1)
    const [file, ...args] = JSON.parse((await program.get()).body)
    t.regex(file, /app\.cjs$/)
    t.deepEqual(args, ['--port', '1', '-w', '--', 'x'])
  })
}

for (const [title, file, source, expected] of PROGRAMS) {
  test.serial(`a program is started that looks at ${title}`, async (t) => {
    const target = file.replace('link', 'target')
    const program = startProgram(t, {
      files: { 'named.cjs': 'exports.filename = () => require.main.filename', [target]: source },
      args: [file, '-b', '127.0.0.1:0'],
      prepare: (directory) => {
        if (target !== file) symlinkSync(target, join(directory, file))
      },
    })
    await program.ready(0)
    t.is((await program.get()).body, expected)
  })
}

// Node has it since 22.18 and 24.2.
const metaTest = needs('import.meta.main', hasMetaMain())

const META: [string, string][] = [
  ['app.mjs', 'import.meta.main'],
  ['app.mts', 'import.meta.main'],
  ['app.mts', '(import.meta as any).main'],
]

for (const [file, question] of META) {
  metaTest(`a program is started that looks at ${question}: ${file}`, async (t) => {
    const program = startProgram(t, {
      files: {
        'other.mjs': 'export const isMain = import.meta.main',
        [file]: `#!/usr/bin/env node
import http from 'node:http'
import { isMain } from './other.mjs'
if (${question}) ${serve(`isMain + ' ' + new Error().stack.includes(':4:')`)}`,
      },
      args: [file, '-b', '127.0.0.1:0'],
    })
    await program.ready(0)
    t.is((await program.get()).body, 'false true')
  })
}

function hasMetaMain(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 2) || (major === 22 && minor >= 18)
}
