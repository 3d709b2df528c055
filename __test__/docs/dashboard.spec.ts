// The dashboard and the alerts in deploy/, against the page of a running server: every query can be
// parsed, and every metric, label and value that it names is on the page.

import { readFileSync } from 'node:fs'
import test from 'ava'
import { load } from 'js-yaml'

import { native } from '../../ts/native/index.ts'
import { appSource, get, serveArgs, startProgram, until } from '../process/program.ts'
import { parseQuery, type Selector } from './promql.ts'

// The TypeScript engine has only some of the metrics, and macOS no backlog.
const hasAllMetrics = native !== null && process.platform === 'linux'
const testAll = hasAllMetrics ? test.serial : test.serial.skip

interface Query {
  readonly title: string
  readonly expr: string
  /** Names in `{{name}}`. */
  readonly shown: readonly string[]
}

interface Panel {
  readonly id: number
  readonly title: string
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

interface Dashboard {
  readonly panels: readonly Panel[]
  readonly annotations: { readonly list: readonly { readonly expr: string }[] }
  readonly templating: { readonly list: readonly { readonly definition?: string }[] }
}

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string
      readonly expr: string
      readonly labels: Readonly<Record<string, string>>
      readonly annotations: Readonly<Record<string, string>>
    }[]
  }[]
}

/** Labels that Prometheus adds to each sample. */
const TARGET_LABELS = ['job', 'instance']

function read(path: string): string {
  return readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8')
}

const dashboard: Dashboard = JSON.parse(read('grafana/monoceros.json'))
const rules = load(read('prometheus/monoceros.rules.yml')) as Rules
const alerts = rules.groups.flatMap((group) => group.rules)

/** Every query of the dashboard, with values for the variables of Grafana. */
function dashboardQueries(): Query[] {
  const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => {
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = '']) => name)
      return { title, expr, shown }
    }),
  )
  const events = dashboard.annotations.list.map(({ expr }) => ({ title: 'event', expr, shown: [] }))
  const variables = dashboard.templating.list.flatMap(({ definition = '' }) => {
    const [, expr = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
    return expr === '' ? [] : [{ title: definition, expr, shown: [label] }]
  })
  return [...panels, ...events, ...variables].map((query) => ({
    ...query,
    expr: query.expr.replaceAll('$__rate_interval', '5m').replace(/\$(?:job|instance)\b/g, '.*'),
  }))
}

function alertQueries(): Query[] {
  return alerts.map(({ alert, expr, annotations }) => {
    const texts = Object.values(annotations).join(' ')
    const shown = [...texts.matchAll(/\$labels\.(\w+)/g)].map(([, name = '']) => name)
    return { title: alert, expr, shown }
  })
}

/** The labels of each sample on a page, by the name of the metric. */
function readPage(text: string): Map<string, Map<string, string>[]> {
  const page = new Map<string, Map<string, string>[]>()
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)]
    const sample = new Map(pairs.map(([, label = '', value = '']) => [label, value]))
    page.set(name, [...(page.get(name) ?? []), sample])
  }
  return page
}

testAll('every query of the dashboard and the alerts is about what a server counts', async (t) => {
  const args = serveArgs('native', '-w', '2', '--metrics-bind', '127.0.0.1:0')
  const program = startProgram(t, { files: { 'app.cjs': appSource('1') }, args })
  await program.ready(2)
  const pattern = /Metrics at: http:\/\/127\.0\.0\.1:(\d+)/
  const port = Number(await until(() => pattern.exec(program.log)?.[1], 'the page of metrics'))
  await program.get()
  await program.get('/throw')
  const page = await until(async () => {
    const { body } = await get({ port, path: '/metrics' })
    return /status_code="500"/.test(body) ? readPage(body) : undefined
  }, 'the failed request')
  const labelsOf = ({ metric }: Selector) =>
    new Set([...(page.get(metric) ?? []).flatMap((sample) => [...sample.keys()]), ...TARGET_LABELS])
  const queries = [...dashboardQueries(), ...alertQueries()]
  t.true(queries.length > 50)
  for (const { title, expr, shown } of queries) {
    const where = `${title}: ${expr}`
    const { selectors, grouping, errors } = parseQuery(expr)
    t.deepEqual(errors, [], where)
    t.true(selectors.length > 0, where)
    for (const selector of selectors) {
      const samples = page.get(selector.metric)
      t.truthy(samples, `${where}: no metric ${selector.metric}`)
      for (const { name, value } of selector.labels) {
        t.true(labelsOf(selector).has(name), `${where}: no label ${name}`)
        if (TARGET_LABELS.includes(name)) continue
        const values = samples?.map((sample) => sample.get(name) ?? '') ?? []
        for (const one of value.split('|')) {
          const expected = new RegExp(`^(?:${one})$`)
          t.true(
            values.some((found) => expected.test(found)),
            `${where}: no ${name} ${one}`,
          )
        }
      }
    }
    const known = new Set(selectors.flatMap((selector) => [...labelsOf(selector)]))
    for (const name of grouping) t.true(known.has(name), `${where}: no label ${name}`)
    const result = grouping.length > 0 ? new Set(grouping) : known
    for (const name of shown) t.true(result.has(name), `${where}: no label ${name} in the result`)
  }
})

test('panels and alerts have names of their own, and alerts a severity and a text', (t) => {
  const ids = dashboard.panels.map(({ id }) => id)
  t.is(new Set(ids).size, ids.length)
  t.is(new Set(alerts.map(({ alert }) => alert)).size, alerts.length)
  for (const { alert, labels, annotations } of alerts) {
    t.true(['critical', 'warning'].includes(labels.severity ?? ''), alert)
    t.truthy(annotations.summary, alert)
  }
})
