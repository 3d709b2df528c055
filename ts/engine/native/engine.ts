/** The native engine of a worker: sockets and HTTP on a Rust I/O thread. */
import type { Server } from 'node:http'
import { monocerosError } from '../../errors.ts'
import { serverInternals } from '../../http/node/internals.ts'
import { programLimits, REFUSES_EXTRA_FIELDS } from '../../http/node/program-limits.ts'
import type { ServingEngine } from '../../http/node/server.ts'
import { resolveStatsdTarget } from '../../log/statsd.ts'
import { resolveAccessSyslog } from '../../log/syslog.ts'
import { IDLE_DRAIN_MS } from '../../messages.ts'
import type { NativeEngine } from '../../native/index.ts'
import type { EngineSettings } from '../../settings/engine.ts'
import { setClientAuthorities } from '../../tls/authorities.ts'
import type { TlsMaterial } from '../../tls/material.ts'
import { toNativeMaterial } from '../../tls/native-material.ts'
import type {
  Engine,
  EngineConfig,
  EngineCounters,
  EngineOptions,
  ListenerInfo,
  Target,
} from '../engine.ts'
import type { ExchangeHandler } from '../exchange.ts'
import { rootPathOf } from '../parse-policy.ts'
import { http2InClear } from '../protocols.ts'
import { ENGINE_SETTINGS } from '../settings.ts'
import { IoThread } from './io-thread.ts'

/** Starts the I/O thread; nothing is accepted before `serve`. */
export function createNativeEngine(options: EngineOptions): Engine {
  let onIdle = (): void => {}
  const thread = startThread(options, () => onIdle())
  const { engine } = thread
  let last: EngineCounters | undefined
  const count = (): EngineCounters => {
    const [connections = 0, inFlight = 0, requests = 0, takeovers = 0] = engine.counters()
    return { connections, inFlight, requests, takeovers }
  }
  // The process may outlive the engine while the application shuts down: commands of the arbiter
  // no longer concern the engine then.
  const isOpen = (): boolean => last === undefined
  let secure = (_tls: TlsMaterial, _secrets: readonly string[]): void => {}
  /** While it drains: how long a connection may wait for a request. */
  let idle: number | undefined
  let side: ProgramSide | null = null
  const drain = (idleMs: number): void => {
    idle = idleMs
    if (isOpen()) engine.drain(idleMs)
  }
  // A program that listens to TERM closes its server there. On each connection that looks idle a
  // request may be on its way: it is answered, as the last one.
  const closesIdle = (): boolean => {
    if (idle !== undefined) drain(Math.min(idle, IDLE_DRAIN_MS))
    return idle !== undefined
  }

  return {
    name: 'native',

    async serve(target: Target, listeners: readonly ListenerInfo[]): Promise<void> {
      side = target.style === 'node' ? new ProgramSide(engine, options, target.server) : null
      const handler = await handlerOf(target, options, { listeners, side })
      const serverId = thread.add(handler)
      side?.begin(serverId, closesIdle)
      handler.onServing?.()
      if (options.tls !== undefined) {
        // Only where TLS is spoken: the cryptography of node is large.
        const { deriveTicketKeys } = await import('../../tls/ticket-keys.ts')
        secure = (tls, secrets) => {
          engine.setTls(serverId, toNativeMaterial(tls, deriveTicketKeys(secrets, tls)))
          setClientAuthorities(tls.clientAuth?.authorities)
        }
        secure(options.tls, options.ticketSecrets ?? [])
      }
      for (const { fd, isSecure } of listeners) engine.listen(fd, serverId, isSecure)
    },

    pause: () => engine.pause(),

    resume(): boolean {
      engine.resume()
      return true
    },

    drain(graceMs: number, idleMs: number): Promise<void> {
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          thread.endTunnels()
          side?.endDrain()
          // The close events of the tunnels run before the process exits.
          setImmediate(resolve)
        }, graceMs)
        onIdle = () => {
          clearTimeout(timer)
          side?.endDrain()
          resolve()
        }
        side?.beginDrain()
        drain(idleMs)
      })
    },

    hasten: (idleMs) => drain(idleMs),

    close(): void {
      last ??= count()
      thread.stop()
    },

    reopenLog(): void {
      if (isOpen()) engine.reopenLog()
    },

    secure(tls, secrets) {
      if (tls !== undefined && isOpen()) secure(tls, secrets)
    },

    counters: () => last ?? count(),
  }
}

/** The methods of the log, by the levels of `FAULT_LEVEL`. */
const LOG_METHODS = ['error', 'warning', 'info'] as const

function startThread(options: EngineOptions, onIdle: () => void): IoThread {
  try {
    return new IoThread({
      settings: settingsOf(options.config),
      options: {
        cleartext: http2InClear(options.config),
        syslog: resolveAccessSyslog(options.config),
        statsd: resolveStatsdTarget(options.config),
        lifelineFd: options.lifelineFd,
      },
      board: options.board,
      onIdle,
      onFault: (text, level) => options.log[LOG_METHODS[level] ?? 'error'](text),
    })
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    // The access log is the one file that it opens.
    if (!problem.startsWith('open ')) throw cause
    throw monocerosError('ERR_LOG_FILE', 'accesslog', String(options.config.accesslog), problem)
  }
}

/**
 * The engine as the program's server needs it: its limits are the operator's, the program's or
 * ours, in this order.
 */
class ProgramSide implements ServingEngine {
  readonly #engine: NativeEngine
  readonly #options: EngineOptions
  readonly #server: Server
  closesIdleConnections: (() => boolean) | undefined
  #serverId: number | undefined
  #differs = false
  #isDraining = false
  #isCloseHeld = false

  constructor(engine: NativeEngine, options: EngineOptions, server: Server) {
    this.#engine = engine
    this.#options = options
    this.#server = server
  }

  begin(serverId: number, closesIdle: () => boolean): void {
    this.#serverId = serverId
    this.closesIdleConnections = closesIdle
    this.onLimitsChanged()
  }

  beginDrain(): void {
    this.#isDraining = true
  }

  /** Ends the drain: no connection is left, or their time is over. */
  endDrain(): void {
    this.#isDraining = false
    if (this.#isCloseHeld) serverInternals(this.#server)._emitCloseIfDrained()
  }

  // A program that exits in its 'close' would reset a client that has just connected.
  holdsClose(): boolean {
    this.#isCloseHeld = this.#isDraining
    return this.#isDraining
  }

  // The worker lives as long as its arbiter wants.
  holdProcess(): void {}

  releaseProcess(): void {}

  onLimitsChanged(): void {
    if (this.#serverId === undefined) return
    const { config, given = new Set() } = this.#options
    const { keepalive } = config
    const program = programLimits(this.#server, { keepalive, given })
    const differs = Object.values(program).some((value) => value !== undefined && value !== 0)
    // A server that keeps the limits of the settings needs none of its own.
    if (!differs && !this.#differs) return
    this.#differs = differs
    const settings = settingsOf(config)
    // A program that sets the size of a head does not want each of its lines to be short.
    const { headBytes } = program
    const own: EngineSettings = {
      ...settings,
      keepalive: program.keepalive ?? settings.keepalive,
      header_timeout: program.headerTimeout ?? settings.header_timeout,
      body_timeout: program.bodyTimeout ?? settings.body_timeout,
      limit_request_fields: fieldsOf(program.fields, settings.limit_request_fields),
      limit_request_line: headBytes ?? settings.limit_request_line,
      limit_request_field_size: headBytes ?? settings.limit_request_field_size,
    }
    const { keepaliveGrace, halfOpen } = program
    const cleartext = http2InClear(config)
    this.#engine.setLimits(this.#serverId, own, { keepaliveGrace, headBytes, halfOpen, cleartext })
  }

  reportRefusals(on: boolean): void {
    if (this.#serverId !== undefined) this.#engine.reportRefusals(this.#serverId, on)
  }
}

function fieldsOf(programs: number | undefined, ours: number): number {
  if (programs === undefined) return ours
  return REFUSES_EXTRA_FIELDS ? programs : Math.max(programs, ours)
}

/** Picks what the engine reads of a configuration. */
export function settingsOf(config: EngineConfig): EngineSettings {
  const picked = Object.fromEntries(ENGINE_SETTINGS.map((name) => [name, config[name]]))
  return { ...(picked as EngineSettings), root_path: rootPathOf(config) }
}

/** What a style needs is loaded only for it: node's fetch classes alone are 10 MB. */
async function handlerOf(
  target: Target,
  { config, given = new Set(), log }: EngineOptions,
  { listeners, side }: { listeners: readonly ListenerInfo[]; side: ProgramSide | null },
): Promise<ExchangeHandler> {
  switch (target.style) {
    case 'node': {
      const { createNodeHandler } = await import('../../http/node/handler.ts')
      const address = listeners[0]?.address ?? ''
      const { keepalive, websocket_max_message_size: maxMessageBytes = 0 } = config
      const options = { keepalive, given, address, maxMessageBytes }
      return createNodeHandler(target.server, options, side)
    }
    case 'fetch': {
      const { createFetchHandler } = await import('../../http/fetch.ts')
      return createFetchHandler(target.fetch, log)
    }
    case 'exchange':
      return target.handler
  }
}
