// Every block of docs/monitoring.md: commands and programs run as they are but for ports. The
// configurations of other programs are read and compared with the server.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { dump, load } from 'js-yaml'

import { isOfNativeEngine, metricRows } from '../../ts/metrics/table.ts'
import { native } from '../../ts/native/index.ts'
import { ROWS } from '../../ts/settings/names.ts'
import { shellWords } from '../../ts/settings/shell-words.ts'
import {
  appSource,
  get,
  type Program,
  serveArgs,
  startProgram,
  until,
  WITHOUT_ADDON,
} from '../process/program.ts'
import { needs } from '../requirements.ts'
import { temporaryDirectory } from '../temporary.ts'
import { parseQuery } from './promql.ts'
import { sectionsOf } from './sections.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const text = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
const sections = new Map(
  sectionsOf('monitoring.md').map(({ title, commands }) => [title, commands]),
)

/** The blocks of a language, in the order of the page. */
function codeIn(language: string): string[] {
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))
  return [...blocks].map(([, code = '']) => code)
}

/** Waits for the page of metrics; returns its port. */
async function metricsPortOf(program: Program): Promise<number> {
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  return Number(await until(() => pattern.exec(program.log)?.[1], 'the page of metrics'))
}

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
  const port = await metricsPortOf(program)
  const [, curl = ''] = blockOf('The page of metrics')
  const { pathname } = new URL(shellWords(curl).at(-1) ?? '')
  t.is((await get({ port, path: pathname })).status, 200)
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

test('the query of the page can be parsed, and its metrics exist', (t) => {
  const [query = '', ...others] = (sections.get('The page of metrics') ?? [])
    .join('\n')
    .split(/^curl .*$/m)
    .slice(1)
  t.deepEqual(others, [])
  const { errors, selectors } = parseQuery(query)
  t.deepEqual(errors, [])
  t.is(selectors.length, 3)
})

test.serial('Metrics of the application: the block adds a registry', async (t) => {
  const [block = '', ...others] = codeIn('js')
  t.deepEqual(others, [])
  const app = `${block}
import { Counter } from 'prom-client'
new Counter({ name: 'own_jobs_total', help: 'Jobs', registers: [registry] }).inc(3)
export default (req, res) => res.end()
`
  const program = startProgram(t, {
    files: { 'app.mjs': app },
    args: ['app.mjs', ...serveArgs('auto', '-w', '1', '--metrics-bind', '127.0.0.1:0').slice(1)],
    prepare(directory) {
      const modules = join(directory, 'node_modules')
      mkdirSync(modules)
      symlinkSync(ROOT, join(modules, 'monoceros'))
      symlinkSync(join(ROOT, 'node_modules/prom-client'), join(modules, 'prom-client'))
    },
  })
  const port = await metricsPortOf(await program.ready(1))
  const hasJobs = async () =>
    /^own_jobs_total 3$/m.test((await get({ port, path: '/metrics' })).body)
  await until(hasJobs, 'the metric of the registry')
  t.pass()
})

interface Scraping {
  readonly scrape_configs: readonly [
    { readonly static_configs: readonly [{ readonly targets: readonly [string] }] },
  ]
}

interface Rules {
  readonly rule_files: readonly [string]
}

interface Collector {
  readonly receivers: { readonly prometheus: { readonly config: Scraping } }
  readonly exporters: Readonly<Record<string, unknown>>
  readonly service: {
    readonly pipelines: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
  }
}

const [scraping, rules, collector] = codeIn('yaml').map((block) => load(block)) as [
  Scraping,
  Rules,
  Collector,
]

test('Prometheus and the Collector scrape the address of the first command', (t) => {
  const words = shellWords(blockOf('The page of metrics')[0] ?? '')
  const address = words[words.indexOf('--metrics-bind') + 1] ?? ''
  for (const { scrape_configs } of [scraping, collector.receivers.prometheus.config]) {
    t.is(scrape_configs[0].static_configs[0].targets[0], address)
  }
  for (const pipeline of Object.values(collector.service.pipelines)) {
    for (const name of pipeline.receivers ?? []) t.true(name in collector.receivers, name)
    for (const name of pipeline.exporters ?? []) t.true(name in collector.exporters, name)
  }
})

const PROMTOOL_RUNS = spawnSync('promtool', ['--version']).status === 0

needs('promtool', PROMTOOL_RUNS)('promtool accepts the configurations and the alerts', (t) => {
  const directory = temporaryDirectory('prometheus')
  const [file] = rules.rule_files
  copyFileSync(join(ROOT, 'deploy/prometheus', file), join(directory, file))
  const configs = [{ ...scraping, ...rules }, collector.receivers.prometheus.config]
  for (const config of configs) {
    writeFileSync(join(directory, 'prometheus.yml'), dump(config))
    const words = ['check', 'config', 'prometheus.yml']
    const { status, stdout, stderr } = spawnSync('promtool', words, { cwd: directory })
    t.is(status, 0, `${stdout}${stderr}`)
  }
})

test('the alerts of the page are those of the file', (t) => {
  const file = readFileSync(join(ROOT, 'deploy/prometheus', rules.rule_files[0]), 'utf8')
  const defined = [...file.matchAll(/- alert: (\w+)/g)].map(([, name]) => name)
  const listed = [...text.matchAll(/^\| `(Monoceros\w+)` \|/gm)].map(([, name]) => name)
  t.deepEqual(listed, defined)
})

// Only Linux reports the backlog and the times of processes.
const isLinux = process.platform === 'linux'

const ENGINE_CASES = { node: 'node', native: 'native', 'without the addon': 'auto' } as const

for (const [name, engine] of Object.entries(ENGINE_CASES)) {
  const declare = needs('the addon, on Linux', isLinux && (native !== null || engine === 'auto'))
  declare(`The TypeScript engine: ${name}, the page has what metrics.md states`, async (t) => {
    const { files, env } = engine === 'auto' ? WITHOUT_ADDON : { files: {}, env: {} }
    const args = serveArgs(engine, '-w', '1', '--metrics-bind', '127.0.0.1:0')
    const program = startProgram(t, { files: { ...files, 'app.cjs': appSource('1') }, args, env })
    const port = await metricsPortOf(await program.ready(1))
    await program.get()
    const signs = [/^nodejs_heap_size_used_bytes /m, /^monoceros_requests_total 1$/m]
    const body = await until(async () => {
      const page = await get({ port, path: '/metrics' })
      return signs.every((sign) => sign.test(page.body)) ? page.body : undefined
    }, 'the request and the report')
    const shown = [...body.matchAll(/^# TYPE (\w+) /gm)].map(([, family = '']) => family)
    const expected = metricRows()
      .filter(([, row]) => engine === 'native' || !isOfNativeEngine(row))
      .filter(([key]) => engine !== 'auto' || key !== 'listenBacklog')
      .map(([, row]) => (row.kind === 'counter' ? `${row.name}_total` : row.name))
    t.deepEqual(shown.sort(), expected.sort())
  })
}
