// An engine of its own for a test's program: starts one for a handler on a free port.
import type { EngineConfig } from '../../../ts/engine/engine.ts'
import type { ExchangeHandler } from '../../../ts/engine/exchange.ts'
import { createNativeEngine } from '../../../ts/engine/native.ts'
import { native } from '../../../ts/native/index.ts'

export const CONFIG: EngineConfig = {
  engine: 'native',
  keepalive: 75,
  worker_connections: 1000,
  accesslog: null,
  access_log_format: '%(h)s',
  limit_request_line: 4094,
  limit_request_fields: 100,
  limit_request_field_size: 8190,
  limit_request_body: 0,
  request_buffer_size: 65_536,
  request_buffer_time: 0.1,
  buffer_memory: 268_435_456,
  response_buffer_size: 131_072,
  limit_requests_per_connection: 0,
  limit_connections_per_address: 0,
  header_timeout: 30,
  body_timeout: 30,
  body_min_rate: 500,
  request_timeout: 0,
  write_timeout: 60,
  write_min_rate: 500,
  linger_timeout: 2,
}

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
  await engine.serve({ style: 'exchange', handler }, [{ fd, address: `http://127.0.0.1:${port}` }])
  return { engine, port }
}
