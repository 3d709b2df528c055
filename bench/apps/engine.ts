// Serves an application on one of our engines by the steps of a worker: capture, load, detect, serve.

import { createEngine } from '../../ts/engine/auto.ts'
import type { EngineConfig, Target } from '../../ts/engine/engine.ts'
import { detectTarget } from '../../ts/http/detect.ts'
import { captureListen } from '../../ts/http/node/listen.ts'
import { nativeBinder } from '../../ts/listen/bind-native.ts'
import { nodeBinder } from '../../ts/listen/bind-node.ts'
import { native } from '../../ts/native/index.ts'

interface EngineServeOptions {
  readonly engine: 'native' | 'node'
  readonly app: string
  readonly port: number
  readonly config: EngineConfig
}

const LOG = {
  debug: () => {},
  info: (text: string) => console.error(text),
  warning: (text: string) => console.error(text),
  error: (text: string) => console.error(text),
  exception: (text: string, thrown: unknown) => console.error(text, thrown),
}

export async function serveEngine(options: EngineServeOptions): Promise<void> {
  const { engine, app, port, config } = options
  const host = '127.0.0.1'
  const address = `http://${host}:${port}`
  const captured = captureListen({ publicAddress: address })
  const exports = await import(`./${app}.js`)
  const target: Target =
    exports.handler === undefined
      ? await detectTarget(exports, { exportName: 'app', workerClass: 'auto', captured })
      : { style: 'exchange', handler: exports.handler }
  const binder = engine === 'native' && native !== null ? nativeBinder(native) : nodeBinder
  const bound = binder.tcp(
    { kind: 'tcp', host, port },
    { backlog: 2048, reusePort: false, chdir: '.', umask: 0, owner: undefined },
  )
  const server = await createEngine({ config: { ...config, engine }, log: LOG })
  await server.serve(target, [{ fd: bound.fd, address }])
}
