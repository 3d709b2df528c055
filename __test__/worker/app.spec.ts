// Tests of locating and loading the application: all file types and all failures.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'

import { type ErrorCode, MonocerosError } from '../../ts/errors.ts'
import { loadApplication, parseApplicationPath } from '../../ts/worker/app.ts'
import { temporaryDirectory } from '../temporary.ts'

const isSplit = test.macro({
  exec: (t, app: string, path: string, exportName: string | undefined) =>
    t.deepEqual(parseApplicationPath(app), { path, exportName }),
  title: (_, app) => `${app} is split`,
})

test(isSplit, './app.js', './app.js', undefined)
test(isSplit, './app.js:api', './app.js', 'api')
test(isSplit, 'dist/server.mjs:default', 'dist/server.mjs', 'default')
test(isSplit, './a:b/app.js', './a:b/app.js', undefined)
test(isSplit, './app.js:$_1', './app.js', '$_1')

const APPLICATIONS: Record<string, string> = {
  'common.cjs': 'module.exports = { answer: 42 }',
  'module.mjs': 'export default { answer: 42 }',
  'typed.ts': 'const value: { answer: number } = { answer: 42 }\nexport default value',
  'more.mts':
    'enum E { A = 42 }\nclass C { constructor(readonly answer: number) {} }\n' +
    'export default new C(E.A)',
  'folder/index.js': 'module.exports = { answer: 42 }',
  'later.mjs':
    'const { answer } = await Promise.resolve({ answer: 42 })\nexport default { answer }',
}

for (const [name, text] of Object.entries(APPLICATIONS)) {
  test.serial(`${name} is loaded`, async (t) => {
    const { exports } = await loadApplication(
      name.replace('/index.js', ''),
      writeFiles({ [name]: text }),
    )
    t.is((exports as { default: { answer: number } }).default.answer, 42)
  })
}

test.serial('the file extension is optional, and argv names the file', async (t) => {
  const dir = writeFiles({ 'server.mjs': 'export const api = process.argv[1]' })
  const { exports, exportName } = await loadApplication('./server:api', dir)
  t.is(exportName, 'api')
  t.is((exports as { api: string }).api, join(dir, 'server.mjs'))
})

const failsToLoad = test.macro({
  async exec(t, file: string, text: string | undefined, code: ErrorCode, pattern: RegExp) {
    const dir = writeFiles(text === undefined ? {} : { [file]: text })
    const error = await t.throwsAsync(loadApplication(file, dir), { instanceOf: MonocerosError })
    t.is(error?.code, code)
    t.is(error?.exit, 3)
    t.regex(error?.message ?? '', pattern)
    t.notRegex(error?.message ?? '', /ts\/worker\/|node:internal/)
  },
  title: (name) => name ?? '',
})

test('a missing file', failsToLoad, 'gone.js', undefined, 'ERR_APP_MISSING', /no file .*gone\.js/)
test('a directory without an entry file', async (t) => {
  const dir = writeFiles({ 'empty/package.json': '{ "main": "gone.js" }' })
  const message =
    /the directory .*empty has no index\.js, and no package\.json whose main is a file/
  await t.throwsAsync(loadApplication('empty', dir), { code: 'ERR_APP_MISSING', message })
})

test.serial('a directory is resolved as Node does, by main of its package.json', async (t) => {
  const dir = writeFiles({
    'package.json': '{ "type": "module", "main": "./lib/server" }',
    'lib/server.js': 'export default { answer: 42 }',
    'index.js': 'export default {}',
  })
  for (const path of ['.', './']) {
    const { exports } = await loadApplication(path, dir)
    t.is((exports as { default: { answer: number } }).default.answer, 42)
  }
})
test(
  'a file that throws an error',
  failsToLoad,
  'bad.mjs',
  'function connect() { throw new TypeError("no database") }\nconnect()',
  'ERR_APP_BROKEN',
  /application bad\.mjs failed while loading:\nTypeError: no database\n {4}at connect .*bad\.mjs:1/,
)
test(
  'a file that throws a value that is not an error',
  failsToLoad,
  'throws.cjs',
  'throw "nothing"',
  'ERR_APP_BROKEN',
  /thrown: 'nothing'/,
)
test(
  'a syntax error is reported with its line',
  failsToLoad,
  'broken.cjs',
  'const a = 1\nconst b = (\n',
  'ERR_APP_BROKEN',
  /broken\.cjs:\d+\n(.*\n)+?SyntaxError/,
)
test(
  'a missing imported module is named',
  failsToLoad,
  'imports.mjs',
  'import "./not-there.mjs"',
  'ERR_APP_BROKEN',
  /not-there\.mjs/,
)

function writeFiles(files: Record<string, string>): string {
  const dir = temporaryDirectory('app')
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}
