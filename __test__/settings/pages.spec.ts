// Checks the texts made from the tables: --help, the generated pages and the JSON schema.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'
import { z } from 'zod'

import { GENERATED } from '../../scripts/gen.ts'
import { ERRORS } from '../../ts/errors.ts'
import { resolveConfig } from '../../ts/settings/config.ts'
import { ROWS } from '../../ts/settings/names.ts'
import { configText, defaultText, firstSentence, helpText } from '../../ts/settings/print.ts'
import { type Row, SECTIONS } from '../../ts/settings/rows.ts'
import { settingsPage, settingsSchema } from '../../ts/settings/settings-page.ts'
import { ARBITER_SIGNALS } from '../../ts/signals.ts'

for (const { path, text } of GENERATED) {
  test(`${path} is up to date with npm run gen`, (t) => {
    const written = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
    t.is(written, text())
  })
}

test('--help begins with the usage and ends with the sources of settings', (t) => {
  const [head, ...sections] = helpText().split(/\n\n(?=[A-Z][\w/ ]+:\n)/)
  t.is(
    head,
    `Usage: monoceros [OPTIONS] APP [-- ARGUMENTS]

Serves a Node.js application in supervised worker processes.
APP is FILE, DIRECTORY or FILE:EXPORT, as in ./app.js, . or ./server.js:app.

  -h, --help                          Prints this help and exits.
  -v, --version                       Prints the version and exits.`,
  )
  const named = SECTIONS.filter((section) =>
    ROWS.some(([, row]) => isListed(row) && row.section === section),
  )
  t.deepEqual(
    sections.map((text) => text.slice(0, text.indexOf(':'))),
    [...named, 'Signals to the arbiter', 'Examples'],
  )
  t.regex(sections.at(-1) ?? '', /MONOCEROS_CMD_ARGS.*\/docs\nsettings\.md/s)
})

test('--help has each signal of the arbiter, examples, and the directory of the pages', (t) => {
  const help = helpText()
  for (const signal of ARBITER_SIGNALS)
    t.regex(help, new RegExp(`^  kill -${signal} PID +[A-Z]`, 'm'))
  t.regex(help, /^ {2}monoceros app\.js -w 4 -b :8000 +Serves/m)
  const [, directory = ''] = /messages are in\n(.*)\n/.exec(help) ?? []
  t.true(existsSync(join(directory, 'settings.md')))
})

test('--help formats short, long and repeated flags, switches, words and defaults', (t) => {
  const help = helpText()
  for (const entry of [
    '  -c, --config PATH                   Path of the config file.',
    '  -w, --workers N|auto                Number of worker processes. [1]',
    `  -b, --bind ADDRESS                  Address to listen on; repeat the flag for several.
                                      [127.0.0.1:8000]`,
    `  -k, --worker-class auto|node|fetch|MODULE
                                      How a worker calls the application. [auto]`,
    '      --keep-alive SECONDS            Time that an idle connection stays open for its ' +
      `next request.
                                      [75 seconds]`,
    '      --worker-connections N          Maximum number of in-flight requests per worker. [1000]',
  ]) {
    t.true(help.includes(`\n${entry}\n`), entry)
  }
})

test('--help has the first sentence and the default of every supported setting', (t) => {
  const help = helpText().replace(/\s+/g, ' ')
  for (const [name, row] of ROWS) {
    if (!isListed(row)) continue
    // The default of access_log_format is longer than its description.
    const value = defaultText(row)
    const fallback = value === undefined || value.includes('%') ? undefined : value
    const entry = `${firstSentence(row.doc)}${fallback === undefined ? '' : ` [${fallback}]`}`
    t.true(help.includes(entry.replace(/\s+/g, ' ')), name)
  }
})

/** Whether --help lists a setting. */
function isListed(row: Row): boolean {
  return row.status === 'supported' && row.flags !== undefined
}

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
  const lines = configText(resolved).trimEnd().split('\n')
  const names = lines.map((line) => line.split(' ')[0] ?? '')
  const supported = ROWS.filter(([, row]) => row.status === 'supported').map(([name]) => name)
  t.deepEqual(names, supported.toSorted())
  const column = Math.max(...names.map((name) => name.length)) + 1
  for (const line of lines) t.regex(line.slice(column), /^= .+ {2}# .+$/, line)
  const shown = (name: string) => lines.find((line) => line.startsWith(`${name} `)) ?? ''
  const row = (name: string, rest: string) => `${name.padEnd(column)}= ${rest}`
  for (const [name, rest] of [
    ['accesslog', 'null  # default'],
    ['app', '"./app.js"  # command line'],
    ['backlog', '3  # MONOCEROS_CMD_ARGS'],
    ['bind', '["0.0.0.0:9000"]  # PORT'],
    ['loglevel', '"debug"  # MONOCEROS_LOGLEVEL'],
    ['request_buffer_time', '0.1  # default'],
    ['suppress_ragged_eofs', 'true  # default'],
    ['workers', '3  # command line'],
  ] as const) {
    t.is(shown(name), row(name, rest))
  }
})
