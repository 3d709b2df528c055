// Reads queries of Prometheus: the metrics and labels that they use.

import { parser } from '@prometheus-io/lezer-promql'

/** A metric of a query, with the labels that it is selected by. */
export interface Selector {
  readonly metric: string
  readonly labels: readonly { readonly name: string; readonly value: string }[]
}

export interface ParsedQuery {
  readonly selectors: readonly Selector[]
  /** Labels of `by` and `without`. */
  readonly grouping: readonly string[]
  /** What the parser does not accept. */
  readonly errors: readonly string[]
}

export function parseQuery(query: string): ParsedQuery {
  const selectors: Selector[] = []
  const grouping: string[] = []
  const errors: string[] = []
  parser.parse(query).iterate({
    enter({ node, type, from, to }) {
      const text = query.slice(from, to)
      if (type.isError) errors.push(`at ${from}: ${query.slice(from, from + 20)}`)
      if (type.name === 'VectorSelector') {
        const [metric = ''] = /^[\w:]+/.exec(text) ?? []
        selectors.push({ metric, labels: labelsOf(text.slice(metric.length)) })
      }
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels') grouping.push(text)
    },
  })
  return { selectors, grouping, errors }
}

function labelsOf(matchers: string): Selector['labels'] {
  return [...matchers.matchAll(/(\w+)\s*[=!]~?\s*"([^"]*)"/g)].map(([, name = '', value = '']) => ({
    name,
    value,
  }))
}
