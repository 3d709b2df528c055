/**
 * A server on an address of its own: node binds, so that every option, error and address is node's; the engine accepts
 * and serves. Node's handle stays on the server and keeps its life: only that it does not accept itself.
 */
import http from 'node:http'
import { constants } from 'node:os'
import type { IoThread } from '../../engine/native/io-thread.ts'
import { type NativeServerLimits, native } from '../../native/index.ts'
import { createOwnListenerHandler } from './handler.ts'
import type { ServerHandle } from './internals.ts'
import { serverInternals } from './internals.ts'
import { KEEP_ALIVE_BUFFER_MS, REFUSES_EXTRA_FIELDS } from './program-limits.ts'
import { ServedServer, type ServingEngine } from './server.ts'

/** A server that has listened once keeps what it was given: it may listen again. */
const servedServers = new WeakMap<http.Server, ServedServer>()

/** Node itself was told to read what is no HTTP. */
const isParserInsecure = [...process.execArgv, process.env.NODE_OPTIONS]
  .join(' ')
  .includes('--insecure-http-parser')

/** Whether the engine can serve all that the server asks for; what it cannot stays node's own. */
export function canServe(server: http.Server): boolean {
  if (isParserInsecure) return false
  const { insecureHTTPParser, httpValidation, requireHostHeader } = serverInternals(server)
  if (insecureHTTPParser === true || requireHostHeader === false) return false
  return httpValidation === undefined || httpValidation === 'strict'
}

/** Puts a handle that node has bound on the engine, if it has a descriptor. */
export function serveHandle(server: http.Server, handle: ServerHandle, thread: IoThread): boolean {
  const { fd } = handle
  if (native === null || typeof fd !== 'number' || fd < 0) return false
  const listener = new OwnListener(server, handle, { thread, fd })
  // On the handle itself, so that it stays one of node's: it can be sent to a child, and has all its methods.
  for (const name of ['listen', 'close', 'ref', 'unref', 'hasRef'] as const) {
    Object.defineProperty(handle, name, { value: listener[name], configurable: true })
  }
  return true
}

class OwnListener implements ServingEngine {
  readonly #server: http.Server
  readonly #handle: ServerHandle
  readonly #original: {
    close: ServerHandle['close']
    getsockname: ServerHandle['getsockname'] | undefined
  }
  readonly #thread: IoThread
  readonly #fd: number
  #servedServer: ServedServer | undefined
  #serverId: number | undefined
  #isRef = true

  constructor(
    server: http.Server,
    handle: ServerHandle,
    { thread, fd }: { thread: IoThread; fd: number },
  ) {
    this.#server = server
    this.#handle = handle
    this.#original = { close: handle.close, getsockname: handle.getsockname }
    this.#thread = thread
    this.#fd = fd
  }

  /** Returns 0 or a negative errno, as node's own. */
  readonly listen = (backlog: number): number => {
    // Of a TCP address in use libuv says so only now; a pipe has said it, and has no such method.
    const error = this.#original.getsockname?.call(this.#handle, {})
    if (error) return error
    let fd: number | undefined
    try {
      fd = native?.listenOn(this.#fd, backlog)
    } catch (thrown) {
      return errnoOf(thrown)
    }
    if (fd === undefined) return -constants.errno.ENOSYS
    const { engine } = this.#thread
    const known = servedServers.get(this.#server) ?? new ServedServer(this.#server)
    servedServers.set(this.#server, known)
    known.engine = this
    this.#servedServer = known
    const handler = createOwnListenerHandler(known)
    this.#serverId = this.#thread.add(handler)
    handler.onServing?.()
    this.onLimitsChanged()
    // What the program sets right behind `listen()`.
    setImmediate(() => this.onLimitsChanged())
    engine.listen(fd, this.#serverId)
    if (this.#isRef) this.holdProcess()
    return 0
  }

  readonly close = (callback?: () => void): void => {
    if (this.#serverId !== undefined) {
      const accepted = this.#thread.engine.unlisten(this.#serverId)
      this.#servedServer?.onListenerClosed(accepted)
      if (this.#isRef) this.releaseProcess()
      // Whoever was accepted and not yet heard of asks for its handler by the serverId.
      const serverId = this.#serverId
      this.#serverId = undefined
      setTimeout(() => this.#thread.forget(serverId), FORGET_DELAY_MS).unref()
    }
    this.#original.close.call(this.#handle, callback)
  }

  readonly ref = (): void => {
    if (!this.#isRef && this.#serverId !== undefined) this.holdProcess()
    this.#isRef = true
  }

  readonly unref = (): void => {
    if (this.#isRef && this.#serverId !== undefined) this.releaseProcess()
    this.#isRef = false
  }

  readonly hasRef = (): boolean => this.#isRef

  holdProcess(): void {
    this.#thread.hold()
  }

  releaseProcess(): void {
    this.#thread.release()
  }

  onLimitsChanged(): void {
    if (this.#serverId !== undefined)
      this.#thread.engine.configure(this.#serverId, limitsOfServer(this.#server))
  }

  reportRefusals(on: boolean): void {
    if (this.#serverId !== undefined) this.#thread.engine.reportRefusals(this.#serverId, on)
  }
}

/** By then the engine's last word of the server has come, but for a process that stood still: it resets those. */
const FORGET_DELAY_MS = 60_000

function errnoOf(thrown: unknown): number {
  const code = (thrown as { code?: string }).code ?? ''
  const { errno } = constants as { errno: Record<string, number | undefined> }
  return -(errno[code] ?? constants.errno.EINVAL)
}

/** For ever, for the engine. */
const NO_LIMIT_SECONDS = 1_000_000_000

/** A server's limits are node's: what it has set, or node's defaults. */
function limitsOfServer(server: http.Server): NativeServerLimits {
  const { maxHeaderSize, keepAliveTimeoutBuffer } = serverInternals(server)
  const keepsAlive = server.keepAliveTimeout > 0
  return {
    keepalive: secondsOf(server.keepAliveTimeout),
    keepaliveGrace: keepsAlive ? (keepAliveTimeoutBuffer ?? KEEP_ALIVE_BUFFER_MS) / 1_000 : 0,
    // Node's time for a request runs while its head comes, too.
    headerTimeout: Math.min(secondsOf(server.headersTimeout), secondsOf(server.requestTimeout)),
    bodyTimeout: secondsOf(server.requestTimeout),
    headBytes: maxHeaderSize || http.maxHeaderSize,
    fields: (REFUSES_EXTRA_FIELDS && server.maxHeadersCount) || MAX_FIELDS,
    methods: http.METHODS,
    halfOpen: serverInternals(server).httpAllowHalfOpen === true,
  }
}

/** Node's own. Before Node 22 its parser drops what is beyond; here it is refused. */
const MAX_FIELDS = 2_000

function secondsOf(ms: number): number {
  return ms > 0 ? ms / 1_000 : NO_LIMIT_SECONDS
}
