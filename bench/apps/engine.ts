// Serves an application on one of our engines with the steps of a worker: capture, load, detect,
// serve.

import { createEngine } from '../../ts/engine/auto.ts'
import type { EngineConfig, Target } from '../../ts/engine/engine.ts'
import { detectTarget } from '../../ts/http/detect.ts'
import { captureListen } from '../../ts/http/node/listen.ts'
import { createNativeBinder } from '../../ts/listen/bind-native.ts'
import { nodeBinder } from '../../ts/listen/bind-node.ts'
import { native } from '../../ts/native/index.ts'
import type { TlsMaterial } from '../../ts/tls/material.ts'

interface EngineServeOptions {
  readonly engine: 'native' | 'node'
  readonly app: string
  readonly port: number
  readonly config: EngineConfig
  /** Where TLS is spoken. */
  readonly tls: TlsMaterial | null
}

const LOG = {
  debug: () => {},
  info: (text: string) => console.error(text),
  warning: (text: string) => console.error(text),
  error: (text: string) => console.error(text),
  exception: (text: string, thrown: unknown) => console.error(text, thrown),
}

/** As long as the arbiter's. */
const TICKET_SECRET = Buffer.alloc(32, 'bench').toString('base64')

export async function serveEngine(options: EngineServeOptions): Promise<void> {
  const { engine, app, port, config, tls } = options
  const host = '127.0.0.1'
  const secure = tls !== null
  const address = `${secure ? 'https' : 'http'}://${host}:${port}`
  const captured = captureListen({ publicAddress: address })
  const exports = await import(`./${app}.js`)
  const target: Target =
    exports.handler === undefined
      ? await detectTarget(exports, { exportName: 'app', workerClass: 'auto', captured })
      : { style: 'exchange', handler: exports.handler }
  const binder = engine === 'native' && native !== null ? createNativeBinder(native) : nodeBinder
  const bound = binder.bindTcp(
    { kind: 'tcp', host, port },
    { backlog: 2048, reusePort: false, chdir: '.', umask: 0, owner: undefined },
  )
  const server = await createEngine({
    ...{ config: { ...config, engine }, log: LOG },
    ...(secure ? { tls, ticketSecrets: [TICKET_SECRET] } : {}),
  })
  await server.serve(target, [{ fd: bound.fd, address, isSecure: secure }])
}
