// Checks the texts made from the tables: --help, the generated pages and the JSON schema.
import { readFileSync } from 'node:fs'

import test from 'ava'
import { z } from 'zod'

import { GENERATED } from '../../scripts/gen.ts'
import { ERRORS } from '../../ts/errors.ts'
import { resolveConfig } from '../../ts/settings/config.ts'
import { settingsPage, settingsSchema } from '../../ts/settings/docs.ts'
import { ROWS } from '../../ts/settings/names.ts'
import { configText, helpText } from '../../ts/settings/print.ts'
import { matchesGolden } from './golden.ts'

for (const { path, text } of GENERATED) {
  test(`${path} is up to date with npm run gen`, (t) => {
    const written = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
    t.is(written, text())
  })
}

test('--help equals the golden file', (t) => {
  matchesGolden(t, 'help.txt', helpText())
})

test('--help lists the flag of every supported setting, within 100 columns', (t) => {
  const lines = helpText().split('\n')
  for (const [name, row] of ROWS) {
    const flag = row.flags?.find((known) => known.startsWith('--'))
    if (flag === undefined) continue
    const shown = lines.some((line) => line.split(/[ ,]+/).includes(flag))
    t.is(shown, row.status === 'supported', name)
  }
  t.true(Math.max(...lines.map((line) => line.length)) <= 100)
})

test('docs/settings.md names every setting and every flag', (t) => {
  const page = settingsPage()
  for (const [name, row] of ROWS) {
    t.true(page.includes(row.status === 'supported' ? `### ${name}\n` : `- \`${name}\``), name)
    for (const flag of row.flags ?? []) t.true(page.includes(`\`${flag}\``), flag)
  }
})

test('docs/errors.md has a section for every error and for nothing else', (t) => {
  const page = GENERATED.find(({ path }) => path === 'docs/errors.md')?.text() ?? ''
  const codes = [...page.matchAll(/^## (\w+)$/gm)].map((match) => match[1])
  t.deepEqual(codes, Object.keys(ERRORS))
})

test('the JSON schema accepts valid settings and rejects invalid ones', (t) => {
  const schema = z.fromJSONSchema(settingsSchema() as Parameters<typeof z.fromJSONSchema>[0])
  const accepted = [
    {},
    { $schema: 'x', workers: 'auto', bind: ':1', wsgi_app: 'a.js' },
    { workers: 3, bind: [':1', ':2'], accesslog: null, engine: 'node', timeout: 0.5 },
    {
      limit_request_body: '10m',
      max_worker_memory: '1.5 GiB',
      umask: '007',
      when_ready: './h.js:a',
    },
    { limit_request_body: 10, umask: 0o27 },
  ]
  for (const config of accepted) t.true(schema.safeParse(config).success, JSON.stringify(config))
  const refused = [
    { worker: 3 },
    { workers: -1 },
    { engine: 'steam' },
    { check_config: true },
    { limit_request_body: 'much' },
    { limit_request_body: -1 },
    { umask: '9' },
  ]
  for (const config of refused) t.false(schema.safeParse(config).success, JSON.stringify(config))
})

test('--print-config shows a file mode in octal', async (t) => {
  const resolved = await resolveConfig({ argv: ['-m', '027', './app.js'], env: {}, cwd: '/' })
  t.regex(configText(resolved), /^umask += 027 {2}#/m)
})

test('--print-config shows every setting by name with its value and origin', async (t) => {
  const env = { PORT: '9000', MONOCEROS_CMD_ARGS: '--backlog 3', MONOCEROS_LOGLEVEL: 'debug' }
  const resolved = await resolveConfig({ argv: ['-w', '3', './app.js'], env, cwd: '/' })
  matchesGolden(t, 'print-config.txt', configText(resolved))
})
