/** Fetch style: an application that takes a `Request` and returns a `Response`. */
import type { ExchangeHandler } from '../engine/exchange.ts'

/** What Hono, h3, Deno, Bun and Cloudflare style applications export as `fetch`. */
export type FetchFunction = (
  request: Request,
  env?: unknown,
  context?: unknown,
) => Response | Promise<Response>

export function fetchHandler(fetch: FetchFunction): ExchangeHandler {
  return {
    async onExchange(exchange) {
      const host = exchange.rawHeaders()[1]
      const response = await fetch(new Request(`http://${host}${exchange.url}`))
      let fields = ''
      for (const [k, v] of response.headers) fields += `${k}: ${v}\r\n`
      exchange.respond(response.status, 'OK', fields, 7, await response.text(), 'utf8')
    },
  }
}
