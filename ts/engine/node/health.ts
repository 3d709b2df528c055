/**
 * Health checks on the TypeScript engine (setting `health_paths`). They are answered before the
 * application, as far as this worker knows the state of the server.
 */
import type http from 'node:http'

/** Answers the health checks of one worker. */
export class HealthChecks {
  readonly #paths: readonly string[]
  #isStopping = false

  constructor(paths: string) {
    this.#paths = paths
      .split(',')
      .map((path) => path.trim())
      .filter((path) => path !== '')
  }

  /** Readiness fails from now on. */
  announceStop(): void {
    this.#isStopping = true
  }

  /** Answers a request if its path is one of the health checks. Returns whether it is. */
  answer(req: http.IncomingMessage, res: http.ServerResponse): boolean {
    if (this.#paths.length === 0 || (req.method !== 'GET' && req.method !== 'HEAD')) return false
    const [path = '', query = ''] = (req.url ?? '').split('?')
    if (!this.#paths.includes(path)) return false
    const name = path.slice(path.lastIndexOf('/') + 1)
    const checks =
      name === 'readyz'
        ? [{ check: 'stopping', isOk: !this.#isStopping }]
        : [{ check: 'event_loop', isOk: true }]
    const isOk = checks.every((check) => check.isOk)
    const lines = checks.map(({ check, isOk: ok }) => `[${ok ? '+' : '-'}]${check}\n`).join('')
    const verdict = `${name} check ${isOk ? 'passed' : 'failed'}\n`
    const isVerbose = query.split('&').some((part) => part.startsWith('verbose'))
    const body = isVerbose || !isOk ? `${lines}${verdict}` : 'ok\n'
    res.writeHead(isOk ? 200 : 503, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': body.length,
      'Cache-Control': 'no-store',
      Connection: 'close',
    })
    res.end(body)
    return true
  }
}
