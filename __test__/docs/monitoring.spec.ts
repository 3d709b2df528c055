// Every block of docs/monitoring.md that can be run: the commands as they are but for ports, and
// what the examples name.

import { readFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'

import { metricRows } from '../../ts/metrics/table.ts'
import { ROWS } from '../../ts/settings/names.ts'
import { shellWords } from '../../ts/settings/shell-words.ts'
import { appSource, get, startProgram, until } from '../process/program.ts'
import { sectionsOf } from './sections.ts'

const text = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
const sections = new Map(
  sectionsOf('monitoring.md').map(({ title, commands }) => [title, commands]),
)

function blockOf(title: string): readonly string[] {
  return (sections.get(title) ?? []).filter((line) => /^(?:monoceros|curl) /.test(line))
}

/** Runs the first command of a section; the ports are those that the system chooses. */
async function start(t: ExecutionContext, title: string) {
  const command = blockOf(title)[0] ?? ''
  const words = shellWords(command.replaceAll(/(?<= )(?:127\.0\.0\.1)?:\d+\b/g, '127.0.0.1:0'))
  const args = [...words.slice(1), '--log-level', 'debug']
  return startProgram(t, { files: { 'app.js': appSource('1') }, args }).ready(1)
}

test.serial('The page of metrics', async (t) => {
  const program = await start(t, 'The page of metrics')
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  const port = await until(() => pattern.exec(program.log)?.[1], 'the page of metrics')
  const [, curl = ''] = blockOf('The page of metrics')
  const { pathname } = new URL(shellWords(curl).at(-1) ?? '')
  t.is((await get({ port: Number(port), path: pathname })).status, 200)
})

test.serial('Health checks', async (t) => {
  const program = await start(t, 'Health checks')
  const [, curl = ''] = blockOf('Health checks')
  const { pathname, search } = new URL(shellWords(curl).at(-1) ?? '')
  const answer = await program.get(`${pathname}${search}`)
  t.is(answer.status, 200)
  t.regex(answer.body, /readyz check passed/)
})

test('the metrics and settings that the page names exist', (t) => {
  const metrics: string[] = metricRows().map(([, { name }]) => name)
  for (const [name] of text.matchAll(/\b(?:http_server|monoceros)_\w+/g)) {
    t.true(metrics.includes(name.replace(/_(?:sum|count|total)$/, '')), name)
  }
  const flags = [...text.matchAll(/(?<=[\s[])--([a-z][a-z-]+)/g)].map((match) => match[1] ?? '')
  const settings: string[] = ROWS.map(([name]) => name)
  for (const flag of flags) t.true(settings.includes(flag.replaceAll('-', '_')), flag)
  t.true(flags.includes('drain-delay'))
})
