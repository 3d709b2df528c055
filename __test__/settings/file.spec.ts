// Loads config files of every format, and loads them again after a change.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { resolveConfig } from '../../ts/settings/config.ts'
import { uses } from '../uses.ts'
import { directoryWith } from './directory.ts'

const FORMATS: Record<string, (workers: number) => string> = {
  'monoceros.config.js': (workers) => `export default { workers: ${workers} }`,
  'monoceros.config.mjs': (workers) => `export const workers = ${workers}`,
  'monoceros.config.cjs': (workers) => `module.exports = { workers: ${workers} }`,
  'monoceros.config.ts': (workers) =>
    `const count: number = ${workers}\nexport default { workers: count } satisfies object`,
  'monoceros.config.json': (workers) => `{ "$schema": "x.json", "workers": ${workers} }`,
  'settings.conf.js': (workers) => `module.exports.workers = ${workers}`,
  'settings.mts': (workers) => `enum Count { Of = ${workers} }\nexport const workers = Count.Of`,
  'settings.cts': (workers) => `const workers: number = ${workers}\nmodule.exports = { workers }`,
}

async function resolve(t: ExecutionContext, cwd: string, argv: string[] = []) {
  const resolved = await resolveConfig({ argv, env: {}, cwd })
  uses(t, resolved.values)
  return resolved
}

for (const [name, text] of Object.entries(FORMATS)) {
  const argv = name.startsWith('monoceros.config') ? [] : ['-c', name]
  // A .js file is CommonJS in a package of type commonjs.
  const type = name === 'settings.conf.js' ? 'commonjs' : 'module'

  test(`${name} is loaded, and loaded again after a change`, async (t) => {
    const cwd = directoryWith(t, { [name]: text(3), 'package.json': `{"type": "${type}"}` })
    const first = await resolve(t, cwd, argv)
    t.is(first.values.workers, 3)
    t.is(first.origins.workers, name)
    writeFileSync(join(cwd, name), text(4))
    t.is((await resolve(t, cwd, argv)).values.workers, 4)
  })
}

test('a byte order mark before JSON is ignored', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.json': '\uFEFF{"workers": 3, "logconfig_json": "log.json"}',
    'log.json': '\uFEFF{"loglevel": "debug"}',
  })
  const { values } = await resolve(t, cwd)
  t.is(values.workers, 3)
  t.is(values.loglevel, 'debug')
})

test('an error in a config file has its line number, whatever its path is', async (t) => {
  const cwd = join(directoryWith(t), 'sp ace ünï#%41')
  mkdirSync(cwd)
  for (const extension of ['mjs', 'cjs']) {
    const name = `settings.${extension}`
    writeFileSync(join(cwd, name), '\n\nthrow new Error("no luck")')
    const error = await t.throwsAsync(resolve(t, cwd, ['-c', name]))
    t.regex(error.message, /no luck \(line 3\)$/)
  }
})

test('a TypeScript config with import and export is loaded in a CommonJS package', async (t) => {
  const cwd = directoryWith(t, {
    'package.json': '{"type": "commonjs"}',
    'count.ts': 'export const count: number = 3',
    'monoceros.config.ts': "import { count } from './count'\nexport default { workers: count }",
  })
  t.is((await resolve(t, cwd)).values.workers, 3)
})

test('a config file may be a relative path, an absolute path or a file: URL', async (t) => {
  const cwd = directoryWith(t, { 'a/b.json': '{"workers": 3}' })
  for (const named of [
    'a/b.json',
    'file:a/b.json',
    join(cwd, 'a/b.json'),
    `file://${cwd}/a/b.json`,
  ]) {
    const { values, origins } = await resolve(t, cwd, ['--config', named])
    t.is(values.workers, 3, named)
    t.is(origins.workers, 'a/b.json', named)
    t.is(values.config, named)
  }
})

test('module:NAME is resolved like a package by Node', async (t) => {
  const cwd = directoryWith(t, {
    'node_modules/our-settings/package.json': '{"main": "main.cjs"}',
    'node_modules/our-settings/main.cjs': 'exports.workers = 3',
  })
  t.is((await resolve(t, cwd, ['-c', 'module:our-settings'])).values.workers, 3)
})

test('--config wins over MONOCEROS_CMD_ARGS, which wins over MONOCEROS_CONFIG', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.json': '{"workers": 1}',
    'a.json': '{"workers": 2}',
    'b.json': '{"workers": 3}',
    'c.json': '{"workers": 4}',
  })
  const env = { MONOCEROS_CONFIG: 'a.json' }
  t.is((await resolveConfig({ argv: [], env, cwd })).values.workers, 2)
  const both = { ...env, MONOCEROS_CMD_ARGS: '-c b.json' }
  t.is((await resolveConfig({ argv: [], env: both, cwd })).values.workers, 3)
  t.is((await resolveConfig({ argv: ['-cc.json'], env: both, cwd })).values.workers, 4)
})

test('of several default config files the first is used, with a warning', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.mjs': 'export const workers = 3',
    'monoceros.config.json': '{"workers": 4}',
  })
  const { values, warnings } = await resolve(t, cwd)
  t.is(values.workers, 3)
  t.deepEqual(warnings, ['monoceros.config.mjs is used; monoceros.config.json beside it is not.'])
})

test('a config file may have numbers as text, and undefined counts as not set', async (t) => {
  const cwd = directoryWith(t, {
    'monoceros.config.mjs': 'export default { workers: "3", timeout: undefined, bind: ":1" }',
  })
  const { values, origins } = await resolve(t, cwd)
  t.is(values.workers, 3)
  t.deepEqual(values.bind, [':1'])
  t.is(origins.timeout, 'default')
})

test('a broken config file is rejected, and accepted after it is repaired', async (t) => {
  const cwd = directoryWith(t, { 'monoceros.config.mjs': 'export default { workers: 3 ' })
  await t.throwsAsync(resolve(t, cwd), { code: 'ERR_CONFIG_FILE_BROKEN' })
  writeFileSync(join(cwd, 'monoceros.config.mjs'), 'export default { workers: 3 }')
  t.is((await resolve(t, cwd)).values.workers, 3)
})
