// An engine of its own for a test's program: starts one for a handler on a free port.
import type { EngineConfig } from '../../../ts/engine/engine.ts'
import type { ExchangeHandler } from '../../../ts/engine/exchange.ts'
import { createNativeEngine } from '../../../ts/engine/native/engine.ts'
import { native } from '../../../ts/native/index.ts'
import { DEFAULTS } from '../../settings/defaults.ts'

export const CONFIG: EngineConfig = { ...DEFAULTS, engine: 'native', accesslog: null }

const log = {
  debug: () => {},
  info: () => {},
  warning: console.error,
  error: console.error,
  exception: console.error,
}

export async function serve(handler: ExchangeHandler, config: Partial<EngineConfig> = {}) {
  if (native === null) throw new Error('the addon is not built')
  const fd = native.bindTcp('127.0.0.1', 0, 512, false, false)
  const { port } = native.localAddress(fd)
  const engine = createNativeEngine({ config: { ...CONFIG, ...config }, log })
  await engine.serve({ style: 'exchange', handler }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  return { engine, port }
}
