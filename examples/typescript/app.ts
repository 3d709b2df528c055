// TypeScript, without a build.

import type { IncomingMessage, ServerResponse } from 'node:http'

interface Greeting {
  readonly hello: string
  readonly path: string
}

export default (req: IncomingMessage, res: ServerResponse): void => {
  const greeting: Greeting = { hello: 'TypeScript', path: req.url ?? '/' }
  res.setHeader('Content-Type', 'application/json')
  res.end(JSON.stringify(greeting))
}
