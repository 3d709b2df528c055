// The plain application: two calls on the response.

import type { IncomingMessage, ServerResponse } from 'node:http'

export function app(_req: IncomingMessage, res: ServerResponse): void {
  res.setHeader('content-type', 'text/plain')
  res.end('Hello, World!')
}
