/** The native engine of a worker: sockets and HTTP on a Rust I/O thread. */
import { statsdTarget } from '../log/statsd.ts'
import { accessSyslog } from '../log/syslog.ts'
import type { NativeEngineSettings, NativeTlsMaterial } from '../native/index.ts'
import type { TlsMaterial } from '../tls/material.ts'
import type { Engine, EngineCounters, EngineOptions, ListenerInfo, Target } from './engine.ts'
import type { ExchangeHandler } from './exchange.ts'
import { IoThread } from './io-thread.ts'
import { rulesOf } from './rules.ts'

/** Starts the I/O thread; nothing is accepted before `serve`. */
export function createNativeEngine(options: EngineOptions): Engine {
  let onIdle = (): void => {}
  const thread = new IoThread({
    settings: settingsOf(options),
    board: options.board,
    lifelineFd: options.lifelineFd,
    onIdle: () => onIdle(),
    onTrouble: (text) => options.log.error(text),
  })
  const { engine } = thread

  return {
    name: 'native',

    async serve(target: Target, listeners: readonly ListenerInfo[]): Promise<void> {
      const tag = thread.add(await handlerOf(target, options, listeners))
      if (options.tls !== undefined) engine.secure(tag, materialOf(options.tls))
      for (const { fd, secure } of listeners) engine.listen(fd, tag, secure)
    },

    drain(graceMs: number): Promise<void> {
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          thread.endTunnels()
          // Whoever hears of it hears of it before the process ends.
          setImmediate(resolve)
        }, graceMs)
        onIdle = () => {
          clearTimeout(timer)
          resolve()
        }
        engine.drain()
      })
    },

    close(): void {
      thread.stop()
    },

    reopenLog: () => engine.reopen(),

    counters(): EngineCounters {
      const [connections = 0, busy = 0, requests = 0] = engine.counters()
      return { connections, busy, requests }
    },
  }
}

/** The addon's types know no lists that cannot be changed. */
function materialOf({ certificates, protocols, strictEnds }: TlsMaterial): NativeTlsMaterial {
  return { certificates: [...certificates], protocols: [...protocols], strictEnds }
}

function settingsOf({ config }: EngineOptions): NativeEngineSettings {
  return {
    keepalive: config.keepalive,
    workerConnections: config.worker_connections,
    limitRequestLine: config.limit_request_line,
    limitRequestFields: config.limit_request_fields,
    limitRequestFieldSize: config.limit_request_field_size,
    requestBufferSize: config.request_buffer_size,
    requestBufferTime: config.request_buffer_time,
    bufferMemory: config.buffer_memory,
    responseBufferSize: config.response_buffer_size,
    limitRequestBody: config.limit_request_body,
    limitRequestsPerConnection: config.limit_requests_per_connection,
    limitConnectionsPerAddress: config.limit_connections_per_address,
    headerTimeout: config.header_timeout,
    bodyTimeout: config.body_timeout,
    bodyMinRate: config.body_min_rate,
    requestTimeout: config.request_timeout,
    writeTimeout: config.write_timeout,
    writeMinRate: config.write_min_rate,
    lingerTimeout: config.linger_timeout,
    handshakeTimeout: config.handshake_timeout,
    limitHandshakes: config.limit_handshakes,
    accesslog: config.accesslog ?? undefined,
    accessLogFormat: config.access_log_format,
    syslog: accessSyslog(config),
    statsd: statsdTarget(config),
    rules: rulesOf(config),
  }
}

/** What a style needs is loaded only for it: node's fetch classes alone are 10 MB. */
async function handlerOf(
  target: Target,
  { config, log }: EngineOptions,
  listeners: readonly ListenerInfo[],
): Promise<ExchangeHandler> {
  switch (target.style) {
    case 'node': {
      const { nodeHandler } = await import('../http/node/handler.ts')
      return nodeHandler(target.server, {
        keepalive: config.keepalive,
        address: listeners[0]?.address ?? '',
      })
    }
    case 'fetch': {
      const { fetchHandler } = await import('../http/fetch.ts')
      return fetchHandler(target.fetch, log)
    }
    case 'exchange':
      return target.handler
  }
}
