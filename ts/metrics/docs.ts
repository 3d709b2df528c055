/** Renders docs/metrics.md from the metrics table. */

import { paragraph } from '../settings/markdown.ts'
import { isOfNativeEngine, type MetricRow, metricRows } from './table.ts'

/** Renders the page. */
export function renderMetricsPage(): string {
  return `# Metrics

The arbiter serves these metrics at \`/metrics\` of \`metrics_bind\`.
[monitoring.md](monitoring.md) describes how to use them. Values are sums over the workers, unless
the text has another rule. With \`/metrics?by=worker\`, metrics of the workers have the label
\`worker\`: the number of the worker, or \`exited\` for the workers that have exited.
${metricRows()
  .map(([, row]) => renderRow(row))
  .join('')}`
}

function renderRow(row: MetricRow): string {
  const { name, kind, labels = [], help, statsd, cells, valuesWithoutCell = [] } = row
  const known = [...(cells?.values ?? []), ...valuesWithoutCell]
  const values = known.length === 0 ? '' : `: ${codes(known)}`
  const facts = [
    `Kind: ${kind}.`,
    labels.length === 0
      ? ''
      : `${labels.length > 1 ? 'Labels' : 'Label'}: ${codes(labels)}${values}.`,
    statsd === undefined ? '' : `In statsd: \`${statsd}\`.`,
    isOfNativeEngine(row) ? 'Native engine only.' : '',
  ]
  const shown = kind === 'counter' ? `${name}_total` : name
  return `\n## ${shown}\n${paragraph([help, ...facts].filter((fact) => fact !== '').join(' '))}`
}

function codes(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}
