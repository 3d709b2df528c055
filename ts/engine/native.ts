/** The native engine: sockets and HTTP on a Rust I/O thread, one for each JavaScript environment. */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import { monocerosError } from '../errors.ts'
import { askForExchangeInHand } from '../http/node/errors.ts'
import { type NativeEngine, native } from '../native/index.ts'
import { Crossing, exchangeInHand } from './crossing.ts'
import type { Engine, EngineCounters, EngineOptions, ListenerInfo, Target } from './engine.ts'
import type { ExchangeHandler } from './exchange.ts'
import { Ring } from './ring.ts'

/** Wakes that are read at once; the engine writes one before it knows that the last was taken. */
const WAKE_BYTES = 16

/** Starts the I/O thread; nothing is accepted before `serve`. */
export function createNativeEngine(options: EngineOptions): Engine {
  if (native === null) throw monocerosError('ERR_ENGINE_NATIVE', 'no binary is loaded')
  const ring = new Ring()
  const handlers = new Map<number, ExchangeHandler>()
  let onIdle = (): void => {}
  const engine: NativeEngine = new native.Engine(
    settingsOf(options),
    options.board === undefined
      ? undefined
      : { ...options.board, kickFds: [...options.board.kickFds] },
    options.lifelineFd,
    ring.memory,
  )
  ring.attach(engine)
  const crossing = new Crossing(
    ring,
    engine,
    handlers,
    () => onIdle(),
    (text) => options.log.error(text),
  )
  const waker = wakerOf(engine.wakeFd, crossing.run)
  askForExchangeInHand(exchangeInHand)

  return {
    name: 'native',

    async serve(target: Target, listeners: readonly ListenerInfo[]): Promise<void> {
      const handler = await handlerOf(target, options, listeners)
      const tag = handlers.size
      handlers.set(tag, handler)
      for (const { fd } of listeners) engine.listen(fd, tag)
    },

    drain(graceMs: number): Promise<void> {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, graceMs)
        onIdle = () => {
          clearTimeout(timer)
          resolve()
        }
        engine.drain()
      })
    },

    close(): void {
      engine.stop()
      waker.destroy()
    },

    reopenLog: () => engine.reopen(),

    counters(): EngineCounters {
      const [connections = 0, busy = 0, requests = 0] = engine.counters()
      return { connections, busy, requests }
    },
  }
}

/** Calls `run` whenever the engine has written to its end of the socket pair; keeps the process alive meanwhile. */
function wakerOf(fd: number, run: () => void): Socket {
  const callback = (): boolean => {
    run()
    return true
  }
  // One buffer for all reads; the option is in Node's documentation of `net.connect` and missing in the type here.
  const onread = { buffer: Buffer.alloc(WAKE_BYTES), callback }
  const options: SocketConstructorOpts & { onread: OnReadOpts } = {
    fd,
    readable: true,
    writable: false,
    onread,
  }
  return new Socket(options)
}

function settingsOf({ config }: EngineOptions) {
  return {
    keepalive: config.keepalive,
    workerConnections: config.worker_connections,
    limitRequestLine: config.limit_request_line,
    limitRequestFields: config.limit_request_fields,
    limitRequestFieldSize: config.limit_request_field_size,
    responseBufferSize: config.response_buffer_size,
    limitRequestBody: config.limit_request_body,
    accesslog: config.accesslog ?? undefined,
    accessLogFormat: config.access_log_format,
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
