// One server of the bench: `node serve.js '{"engine":"plain","app":"koa","port":19500}'`. It does
// what a worker does, without an arbiter, so that only the engine and the application are in the
// process.

import type { EngineConfig } from '../../ts/engine/engine.ts'
import type { TlsMaterial } from '../../ts/tls/material.ts'
import { servePlain } from './plain.ts'

export interface ServeOptions {
  readonly engine: 'plain' | 'native' | 'node'
  readonly app: string
  readonly port: number
  readonly config: EngineConfig
  readonly http2: boolean
  /** TLS, with this certificate. */
  readonly identity: { readonly cert: string; readonly key: string } | null
  readonly tls: TlsMaterial | null
}

const options: ServeOptions = JSON.parse(process.argv[2] ?? '{}')

if (options.engine === 'plain') {
  const { app } = await import(`./${options.app}.js`)
  await servePlain(options.app, app, options)
} else {
  const { serveEngine } = await import('./engine.ts')
  await serveEngine({ ...options, engine: options.engine })
}
process.once('SIGTERM', () => process.exit(0))
