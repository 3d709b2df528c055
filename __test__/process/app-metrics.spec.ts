// The application's own metrics, which prom-client counts in each worker: sums, the other rules of
// aggregation, and workers that exit or do not answer.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { needs } from '../requirements.ts'
import { ENGINES, get, type Program, serveArgs, startProgram, until } from './program.ts'

const PROM_CLIENT = createRequire(import.meta.url).resolve('prom-client')
const REGISTRIES = fileURLToPath(new URL('../../ts/metrics/registries.ts', import.meta.url))

/** An application with one metric for each rule. */
const APP = `const client = require(${JSON.stringify(PROM_CLIENT)})
const { pid } = process
client.collectDefaultMetrics()
const hits = new client.Counter({ name: 'app_hits_total', help: 'Hits', labelNames: ['path'] })
const plain = new client.Counter({ name: 'app_plain', help: 'A name without a suffix' })
const sizes = new client.Histogram({ name: 'app_size', help: 'Sizes', buckets: [1, 2.5, 10] })
const times = new client.Summary({ name: 'app_time', help: 'Times', percentiles: [0.5] })
for (const aggregator of ['sum', 'min', 'max', 'average', 'first', 'omit']) {
  const gauge = new client.Gauge({ name: 'app_' + aggregator, help: 'A "gauge"\\\\', aggregator })
  gauge.set(Number(process.env.MONOCEROS_WORKER))
}
module.exports = (req, res) => {
  const [, name, ms] = req.url.split('/')
  if (name === 'block') { const end = Date.now() + Number(ms); while (Date.now() < end); }
  if (name === 'hang') client.register.getMetricsAsJSON = () => new Promise(() => {})
  if (name === 'fail') client.register.getMetricsAsJSON = () => { throw new Error('no metrics') }
  if (name === 'hit') {
    hits.inc({ path: 'a"b' }); plain.inc(); sizes.observe(2); times.observe(3)
  }
  // Requests in flight at the same time go to both workers.
  setTimeout(() => res.end(String(pid)), name === 'hit' ? 20 : 0)
}
`

async function start(t: ExecutionContext, engine: string, source = APP) {
  const args = serveArgs(engine, '-w', '2', '--metrics-bind', '127.0.0.1:0')
  const program = startProgram(t, { files: { 'app.cjs': source }, args })
  await program.ready(2)
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  const port = await until(() => pattern.exec(program.log)?.[1], 'the page of metrics')
  const page = async (accept = 'text/plain', path = '/metrics') =>
    (await get({ port: Number(port), path, headers: { Accept: accept } })).body
  return { program, page }
}

/** Hits the application until each of two workers has answered; returns the number of hits. */
async function hitBoth(program: Program): Promise<number> {
  const seen = new Set<string>()
  let count = 0
  await until(async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => program.get('/hit')))
    for (const { body } of answers) seen.add(body)
    count += answers.length
    return seen.size === 2
  }, 'both workers')
  return count
}

for (const engine of ENGINES) {
  test.serial(`${engine}: the metrics of prom-client are added up`, async (t) => {
    const { program, page } = await start(t, engine)
    const hits = await hitBoth(program)
    const counted = new RegExp(`^app_hits_total\\{path="a\\\\"b"\\} ${hits}$`, 'm')
    const text = await until(async () => {
      const found = await page()
      return counted.test(found) ? found : undefined
    }, 'the hits of both workers')
    t.regex(text, /^# TYPE app_hits_total counter$/m)
    t.regex(text, new RegExp(`^app_plain ${hits}$`, 'm'))
    t.regex(text, new RegExp(`^app_size_bucket\\{le="2.5"\\} ${hits}$`, 'm'))
    t.regex(text, new RegExp(`^app_size_sum ${2 * hits}$`, 'm'))
    for (const line of ['sum 3', 'min 1', 'max 2', 'average 1.5'])
      t.true(text.includes(`\napp_${line}\n`), line)
    t.regex(text, /^app_first [12]$/m)
    t.notRegex(text, /^app_omit/m)
    t.is([...text.matchAll(/^# TYPE nodejs_heap_size_used_bytes /gm)].length, 1)
    const open = await page('application/openmetrics-text')
    t.regex(open, new RegExp(`^app_plain_total ${hits}$`, 'm'))
    t.regex(open, /^# HELP app_sum A \\"gauge\\"\\\\$/m)
  })
}

/** Runs a program with a page on its standard input; returns what it finds wrong. */
function problemsOf(text: string, program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { input: text, encoding: 'utf8' })
  return status === 0 && stdout === '' ? stderr : `status ${status}: ${stdout}${stderr}`
}

const runs = (program: string, ...args: string[]) => spawnSync(program, args).status === 0

const testPython = needs(
  'python3 with prometheus_client',
  runs('python3', '-c', 'import prometheus_client.openmetrics.parser'),
)

test.serial('the first scrape has the metrics of each worker', async (t) => {
  const { page } = await start(t, 'auto')
  t.regex(await page(), /^app_sum 3$/m)
})

testPython('the parsers of prometheus_client accept both formats', async (t) => {
  const { program, page } = await start(t, 'auto')
  await hitBoth(program)
  for (const path of ['/metrics', '/metrics?by=worker']) {
    for (const [accept, module] of [
      ['text/plain', 'prometheus_client.parser'],
      ['application/openmetrics-text', 'prometheus_client.openmetrics.parser'],
    ] as const) {
      const script = `import sys
from ${module} import text_string_to_metric_families as parse
names = [family.name for family in parse(sys.stdin.read())]
assert len(names) == len(set(names)) and 'app_size' in names, names`
      t.is(problemsOf(await page(accept, path), 'python3', '-c', script), '', `${path}, ${module}`)
    }
  }
})

const testPromtool = needs('promtool', runs('promtool', '--version'))

testPromtool('promtool accepts the names of the server but for those of prom-client', async (t) => {
  const { page } = await start(t, 'auto')
  const { stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: await page(),
    encoding: 'utf8',
  })
  const problems = stderr.split('\n').filter((line) => !/^(?:app_|$)/.test(line))
  // Dashboards for Node.js use these names, so the server has one of them too.
  const isGauge = /^nodejs_active_\w+_total non-counter metrics should not have "_total" suffix$/
  t.is(problems.length, 3)
  t.deepEqual(
    problems.filter((line) => !isGauge.test(line)),
    [],
  )
})

test.serial('counters of the application do not decrease when a worker exits', async (t) => {
  const { program, page } = await start(t, 'auto')
  const hits = await hitBoth(program)
  const count = async () => Number(/^app_plain (\d+)$/m.exec(await page())?.[1])
  await until(async () => (await count()) === hits, 'the hits')
  const [victim = 0] = program.workers()
  process.kill(victim, 'SIGKILL')
  await program.line(/Worker ready/)
  t.is(await count(), hits)
  program.signal('SIGHUP')
  await program.line(/Reload complete/)
  t.true((await count()) >= hits)
})

test.serial('a worker that does not answer contributes its last values', async (t) => {
  const { program, page } = await start(t, 'auto')
  const hits = await hitBoth(program)
  const counted = new RegExp(`^app_plain ${hits}$`, 'm')
  await until(async () => counted.test(await page()), 'the hits')
  await program.get('/hang')
  t.regex(await page(), counted)
  t.regex(await page(), counted)
  const blocks = [1, 2].map(() => program.get('/block/1000'))
  t.regex(await page(), counted)
  await Promise.all(blocks)
})

test.serial('a registry that fails is logged once, and the page has the rest', async (t) => {
  const { program, page } = await start(t, 'auto')
  await program.get('/fail')
  await program.get('/fail')
  await until(async () => {
    await page()
    return program.log.includes('Cannot collect the metrics of the application: no metrics')
  }, 'the warning')
  t.regex(await page(), /^monoceros_workers_wanted 2$/m)
})

test.serial('an application names a registry of its own', async (t) => {
  const source = `const { collectRegistry } = require(${JSON.stringify(REGISTRIES)})
collectRegistry({ getMetricsAsJSON: () => [
  { name: 'own_total', help: 'Own', type: 'counter', values: [{ value: 4, labels: { a: 1 } }] },
  { name: 'not a name', help: '', type: 'counter', values: [] }, null,
] })
module.exports = (req, res) => res.end()
`
  const { page } = await start(t, 'auto', source.replace('.ts"', '.js"').replace('/ts/', '/dist/'))
  await until(async () => /^own_total\{a="1"\} 8$/m.test(await page()), 'the metric')
  t.notRegex(await page(), /not a name/)
})
