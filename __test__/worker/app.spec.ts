// Finding and loading the application: every form, every way to fail.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'

import { type ErrorCode, MonocerosError } from '../../ts/errors.ts'
import { loadApplication, parseApplicationPath } from '../../ts/worker/app.ts'
import { temporaryDirectory } from '../temporary.ts'

const splits = test.macro({
  exec: (t, app: string, path: string, exportName: string | undefined) =>
    t.deepEqual(parseApplicationPath(app), { path, exportName }),
  title: (_, app) => `${app} is split`,
})

test(splits, './app.js', './app.js', undefined)
test(splits, './app.js:api', './app.js', 'api')
test(splits, 'dist/server.mjs:default', 'dist/server.mjs', 'default')
test(splits, './a:b/app.js', './a:b/app.js', undefined)
test(splits, './app.js:$_1', './app.js', '$_1')

const FORMS: Record<string, string> = {
  'common.cjs': 'module.exports = { answer: 42 }',
  'module.mjs': 'export default { answer: 42 }',
  'typed.ts': 'const value: { answer: number } = { answer: 42 }\nexport default value',
  'more.mts':
    'enum E { A = 42 }\nclass C { constructor(readonly answer: number) {} }\nexport default new C(E.A)',
  'folder/index.js': 'module.exports = { answer: 42 }',
  'later.mjs':
    'const { answer } = await Promise.resolve({ answer: 42 })\nexport default { answer }',
}

for (const [name, text] of Object.entries(FORMS)) {
  test.serial(`${name} is loaded`, async (t) => {
    const { exports } = await loadApplication(
      name.replace('/index.js', ''),
      place({ [name]: text }),
    )
    t.is((exports as { default: { answer: number } }).default.answer, 42)
  })
}

test.serial('the extension may be left out, and argv names the file', async (t) => {
  const dir = place({ 'server.mjs': 'export const api = process.argv[1]' })
  const { exports, exportName } = await loadApplication('./server:api', dir)
  t.is(exportName, 'api')
  t.is((exports as { api: string }).api, join(dir, 'server.mjs'))
})

const fails = test.macro({
  async exec(t, file: string, text: string | undefined, code: ErrorCode, says: RegExp) {
    const dir = place(text === undefined ? {} : { [file]: text })
    const error = await t.throwsAsync(loadApplication(file, dir), { instanceOf: MonocerosError })
    t.is(error?.code, code)
    t.is(error?.exit, 3)
    t.regex(error?.message ?? '', says)
    t.notRegex(error?.message ?? '', /ts\/worker\/|node:internal/)
  },
  title: (name) => name ?? '',
})

test(
  'a file that is not there',
  fails,
  'gone.js',
  undefined,
  'ERR_APP_MISSING',
  /no file .*gone\.js/,
)
test(
  'a folder without an entry',
  fails,
  'empty',
  undefined,
  'ERR_APP_MISSING',
  /there is no file .*empty/,
)
test(
  'a file that throws',
  fails,
  'throws.mjs',
  'function connect() { throw new TypeError("no database") }\nconnect()',
  'ERR_APP_BROKEN',
  /application throws\.mjs failed while loading:\nTypeError: no database\n {4}at connect .*throws\.mjs:1/,
)
test(
  'a file that throws something else than an error',
  fails,
  'throws.cjs',
  'throw "nothing"',
  'ERR_APP_BROKEN',
  /thrown: 'nothing'/,
)
test(
  'a file that node cannot parse names the line',
  fails,
  'broken.cjs',
  'const a = 1\nconst b = (\n',
  'ERR_APP_BROKEN',
  /broken\.cjs:\d+\n(.*\n)+?SyntaxError/,
)
test(
  'a module that is missing is named',
  fails,
  'imports.mjs',
  'import "./not-there.mjs"',
  'ERR_APP_BROKEN',
  /not-there\.mjs/,
)

function place(files: Record<string, string>): string {
  const dir = temporaryDirectory('app')
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}
