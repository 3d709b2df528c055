/** The pages of the health checks, in the form that Kubernetes uses for its own. */

import type { Page } from './server.ts'

/** One check. */
export interface HealthCheck {
  readonly name: string
  readonly isOk: boolean
  /** What was found, for the page with `?verbose`. */
  readonly finding: string
}

/** Renders a health check: 200 if every check is passed, else 503. */
export function renderHealth(
  name: 'livez' | 'readyz',
  checks: readonly HealthCheck[],
  isVerbose: boolean,
): Page {
  const isOk = checks.every((check) => check.isOk)
  const lines = checks.map(
    (check) => `[${check.isOk ? '+' : '-'}]${check.name}: ${check.finding}\n`,
  )
  const verdict = `${name} check ${isOk ? 'passed' : 'failed'}\n`
  // A failure is always explained.
  const body = isVerbose || !isOk ? `${lines.join('')}${verdict}` : 'ok\n'
  return { status: isOk ? 200 : 503, contentType: 'text/plain; charset=utf-8', body }
}
