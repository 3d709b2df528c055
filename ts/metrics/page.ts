/**
 * The page of `/metrics` in two formats: the Prometheus text format 0.0.4, and OpenMetrics 1.0 for
 * clients that accept it.
 */

import type { Family, Sample } from './families.ts'

/** A format of the page. */
export type PageFormat = 'prometheus' | 'openmetrics'

/** The media types of the formats. */
export const CONTENT_TYPES: Readonly<Record<PageFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** Renders the page. Families that have no samples are left out. */
export function renderPage(families: readonly Family[], format: PageFormat): string {
  const parts = families
    .filter(({ samples }) => samples.length > 0)
    .map((family) => renderFamily(family, format))
  if (format === 'openmetrics') parts.push('# EOF\n')
  return parts.join('')
}

/** Returns the format that a client prefers, by its field `Accept`. */
export function negotiateFormat(accept: string | undefined): PageFormat {
  return qualityOf(accept, 'application/openmetrics-text') > qualityOf(accept, 'text/plain')
    ? 'openmetrics'
    : 'prometheus'
}

/** Returns whether a client accepts gzip, by its field `Accept-Encoding`. */
export function acceptsGzip(acceptEncoding: string | undefined): boolean {
  return qualityOf(acceptEncoding, 'gzip') > 0
}

/** Returns the weight of a token in a list (RFC 9110 section 12.4.2), 0 if it is not listed. */
function qualityOf(list: string | undefined, token: string): number {
  const weights = (list ?? '').split(',').flatMap((item) => {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    return name === token ? [weight === undefined ? 1 : Number(weight.slice(2)) || 0] : []
  })
  return Math.max(0, ...weights)
}

function renderFamily({ name, kind, unit, help, samples }: Family, format: PageFormat): string {
  const isOpen = format === 'openmetrics'
  // In the older format the family of a counter has the name of its samples.
  const hasTotal = kind === 'counter' && samples[0]?.suffix.startsWith('_total') === true
  const shown = !isOpen && hasTotal ? `${name}_total` : name
  // A counter of the application may lack the suffix, which OpenMetrics requires.
  const sampleName = isOpen && kind === 'counter' && !hasTotal ? `${name}_total` : name
  const type = !isOpen && kind === 'unknown' ? 'untyped' : kind
  const lines = [
    `# HELP ${shown} ${escapeHelp(help, isOpen)}`,
    `# TYPE ${shown} ${type}`,
    ...(isOpen && unit !== undefined ? [`# UNIT ${shown} ${unit}`] : []),
    ...samples.map((sample) => renderSample(sampleName, sample)),
  ]
  return `${lines.join('\n')}\n`
}

function renderSample(name: string, { suffix, labels, value }: Sample): string {
  return `${name}${suffix}${formatLabels(Object.entries(labels))} ${formatValue(value)}`
}

/** Renders labels in braces; nothing without labels. */
export function formatLabels(labels: readonly (readonly [string, string | number])[]): string {
  if (labels.length === 0) return ''
  const shown = labels.map(([name, value]) => `${name}="${escapeLabel(String(value))}"`)
  return `{${shown.join(',')}}`
}

/** Formats a bound as OpenMetrics wants it: a floating-point number, as in `le="1.0"`. */
export function formatBound(bound: number): string {
  return Number.isInteger(bound) && Math.abs(bound) < 1e15 ? `${bound}.0` : String(bound)
}

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value)
  if (Number.isNaN(value)) return 'NaN'
  return value > 0 ? '+Inf' : '-Inf'
}

function escapeLabel(text: string): string {
  return /["\\\n]/.test(text)
    ? text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
    : text
}

function escapeHelp(text: string, isOpen: boolean): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return isOpen ? escaped.replaceAll('"', '\\"') : escaped
}
