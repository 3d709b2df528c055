/** Starts servers on an engine inside the test's own process. */
import type http from 'node:http'
import net from 'node:net'
import type { Engine, EngineConfig, EngineLog, Target } from '../../ts/engine/engine.ts'
import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { createNodeEngine } from '../../ts/engine/node/engine.ts'
import { native } from '../../ts/native/index.ts'
import { DEFAULTS } from '../settings/defaults.ts'
import { KEEP_ALIVE_SECONDS, type Running } from './suite.ts'

export const config: EngineConfig = {
  ...DEFAULTS,
  keepalive: KEEP_ALIVE_SECONDS,
  accesslog: null,
  access_log_format: '%(h)s',
  // As the oracle: every name is kept.
  header_map: 'dangerous',
  // No proxy is believed.
  forwarded_allow_ips: '',
  secure_scheme_headers: {},
  forwarder_headers: '',
}

/** Lines that engines and handlers have logged. */
export const logged: string[] = []

export const log: EngineLog = {
  debug: (text) => void logged.push(text),
  info: (text) => void logged.push(text),
  warning: (text) => void logged.push(text),
  error: (text) => void logged.push(text),
  exception: (text, thrown) => void logged.push(`${text}: ${String(thrown)}`),
}

let nativeEngine: Engine | undefined

/** On the native engine; one for the whole process, as in a worker. */
export async function startNative(program: http.Server | Target): Promise<Running> {
  if (native === null) throw new Error('no binary')
  nativeEngine ??= createNativeEngine({ config, log })
  const { fd, port } = bindNatively()
  await nativeEngine.serve(targetOf(program), [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return { port, close() {} }
}

/** Ends the native engine, which would keep the process. */
export function stopNative(): void {
  nativeEngine?.close()
}

/** On the engine over node:http; each server has one of its own. */
export async function startNode(program: http.Server | Target): Promise<Running> {
  const { fd, port } = bind()
  const engine = createNodeEngine({ config, log })
  await engine.serve(targetOf(program), [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return { port, close: () => engine.close() }
}

function targetOf(program: http.Server | Target): Target {
  return 'style' in program ? program : { style: 'node', server: program }
}

interface BoundHandle {
  readonly fd: number
  getsockname(out: { port?: number }): number
}

/** Binds a free port for the native engine. */
export function bindNatively(): { fd: number; port: number } {
  if (native === null) throw new Error('no binary')
  const fd = native.bindTcp('127.0.0.1', 0, 511, false, false)
  return { fd, port: native.localAddress(fd).port ?? 0 }
}

/** Binds a free port without accepting. */
export function bind(): { fd: number; port: number } {
  const create = Reflect.get(net, '_createServerHandle') as (...args: unknown[]) => BoundHandle
  const handle = create('127.0.0.1', 0, 4, undefined, undefined)
  const out: { port?: number } = {}
  handle.getsockname(out)
  return { fd: handle.fd, port: out.port ?? 0 }
}
