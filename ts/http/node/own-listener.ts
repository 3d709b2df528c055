/**
 * Serves an http server on an address of its own. Node binds the address, so that every option,
 * error and address is node's. The engine accepts and serves. Node's handle stays on the server,
 * but does not accept itself.
 */
import http from 'node:http'
import { constants } from 'node:os'
import type { IoThread } from '../../engine/native/io-thread.ts'
import { type NativeNodeLimits, native } from '../../native/index.ts'
import { createOwnListenerHandler } from './handler.ts'
import { decidesIdleTimeouts, keepAliveBufferMs } from './idle-timeout.ts'
import type { ServerHandle } from './internals.ts'
import { serverInternals } from './internals.ts'
import { REFUSES_EXTRA_FIELDS } from './program-limits.ts'
import { ServedServer, type ServingEngine } from './server.ts'

/** Servers that have listened before: a server that listens again keeps its `ServedServer`. */
const servedServers = new WeakMap<http.Server, ServedServer>()

/** Whether node was started with its lenient parser, which accepts input that is not HTTP. */
const isParserInsecure = [...process.execArgv, process.env.NODE_OPTIONS]
  .join(' ')
  .includes('--insecure-http-parser')

/**
 * Whether the engine supports all options of the server. A server for which it does not is left to
 * node.
 */
export function canServe(server: http.Server): boolean {
  if (isParserInsecure) return false
  const { insecureHTTPParser, httpValidation, requireHostHeader } = serverInternals(server)
  if (insecureHTTPParser === true || requireHostHeader === false) return false
  return httpValidation === undefined || httpValidation === 'strict'
}

/**
 * Lets the engine accept on a handle that node has bound. Returns false if the handle has no
 * descriptor.
 */
export function serveHandle(server: http.Server, handle: ServerHandle, thread: IoThread): boolean {
  const { fd } = handle
  if (native === null || typeof fd !== 'number' || fd < 0) return false
  const listener = new OwnListener(server, handle, { thread, fd })
  // The methods are replaced on node's handle itself: it keeps its other methods and can be sent to
  // a child process.
  for (const name of ['listen', 'close', 'ref', 'unref', 'hasRef'] as const) {
    Object.defineProperty(handle, name, { value: listener[name], configurable: true })
  }
  return true
}

/** The methods of a handle whose descriptor the engine accepts on. */
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
  /** The engine's number of this server, while it listens. */
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

  /** Starts to accept. Returns 0 or a negative errno, as node's own method does. */
  readonly listen = (backlog: number): number => {
    // libuv reports a TCP address in use here, and one of a pipe when it binds. A pipe has no
    // `getsockname`.
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
    // Applies the limits that the application sets in the lines after `listen()`.
    setImmediate(() => this.onLimitsChanged())
    engine.listen(fd, this.#serverId, false)
    if (this.#isRef) this.holdProcess()
    return 0
  }

  readonly close = (callback?: () => void): void => {
    if (this.#serverId !== undefined) {
      const accepted = this.#thread.engine.unlisten(this.#serverId)
      this.#servedServer?.onListenerClosed(accepted)
      if (this.#isRef) this.releaseProcess()
      // Connections that the engine accepted, but has not reported yet, still need the handler of
      // this id.
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
    if (this.#serverId === undefined) return
    this.#thread.engine.setNodeLimits(this.#serverId, limitsOfServer(this.#server))
  }

  reportRefusals(isWanted: boolean): void {
    if (this.#serverId === undefined) return
    this.#thread.engine.reportRefusals(this.#serverId, isWanted)
  }
}

/**
 * How long the handler of a closed server is kept. The engine's last event of it arrives within
 * this time, unless the process was suspended; the engine then resets the connection.
 */
const FORGET_DELAY_MS = 60_000

/** The negative errno for an error of the addon; EINVAL if it has no code of the system. */
function errnoOf(thrown: unknown): number {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
  const errno: unknown = Reflect.get(constants.errno, code)
  return -(typeof errno === 'number' ? errno : constants.errno.EINVAL)
}

/** The value for no time limit, since the engine has none that is infinite. */
const NO_LIMIT_SECONDS = 1_000_000_000

/** Returns the limits that node would use: those of the server, or node's defaults. */
function limitsOfServer(server: http.Server): NativeNodeLimits {
  const { maxHeaderSize } = serverInternals(server)
  const keepsAlive = server.keepAliveTimeout > 0
  return {
    keepalive: decidesIdleTimeouts(server) ? NO_LIMIT_SECONDS : secondsOf(server.keepAliveTimeout),
    keepaliveGrace: keepsAlive ? keepAliveBufferMs(server) / 1_000 : 0,
    // Node's `requestTimeout` covers the head, too.
    headerTimeout: Math.min(secondsOf(server.headersTimeout), secondsOf(server.requestTimeout)),
    bodyTimeout: secondsOf(server.requestTimeout),
    headBytes: maxHeaderSize || http.maxHeaderSize,
    fields: (REFUSES_EXTRA_FIELDS && server.maxHeadersCount) || MAX_FIELDS,
    methods: http.METHODS,
    halfOpen: serverInternals(server).httpAllowHalfOpen === true,
  }
}

/**
 * Node's default for `maxHeadersCount`. Before Node 22 its parser drops further fields; the engine
 * refuses them.
 */
const MAX_FIELDS = 2_000

function secondsOf(ms: number): number {
  return ms > 0 ? ms / 1_000 : NO_LIMIT_SECONDS
}
