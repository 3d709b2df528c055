/**
 * A connection that the application has taken over, on the engine on node:http. The application
 * uses Node's socket; its writes are inspected for the access log, and so that a drain can close a
 * WebSocket between two frames.
 */
import type { Socket } from 'node:net'
import { system } from '../../process/system.ts'
import type { WebSocketLimit } from '../websocket-limit.ts'
import { RESTART_FRAME, WebSocketFrames } from './websocket-frames.ts'

/** Limit of the response head: more bytes without its end are taken for another protocol. */
const MAX_HEAD_BYTES = 16_384

/**
 * Age before which a drain does not close a WebSocket. An Engine.IO client moves its session to a
 * new WebSocket within this time; if that one closes meanwhile, the session has no transport
 * until its ping timeout.
 */
const MIN_WEBSOCKET_MS = 1_000

/** Time that a client has to answer a WebSocket close frame, or to disconnect after a refusal. */
const CLOSE_TIMEOUT_MS = 5_000

type Callback = (error?: Error | null) => void
type WriteMethod = (
  this: Socket,
  chunk: Uint8Array | string,
  encoding?: BufferEncoding,
  callback?: Callback,
) => boolean

/** Inspects the writes of one socket that the application has taken over. */
export class NodeTunnel {
  /** Status code of the application's response; 0 before its head is complete. */
  status = 0
  /** Head of the response as it was written so far. */
  head = ''
  readonly #socket: Socket
  readonly #write: WriteMethod
  readonly #end: (callback?: Callback) => Socket
  /** Undefined before the head is complete; null if no WebSocket follows. */
  #frames: WebSocketFrames | null | undefined
  readonly #limit: WebSocketLimit | undefined
  /** When the application accepted the WebSocket, by `system.now()`. */
  #acceptedAt = 0
  #isDraining = false
  /** The WebSocket gets a close frame as soon as a frame may begin. */
  #isClosing = false
  /** The engine has sent a close frame: further bytes of the application are dropped. */
  #hasSentClose = false

  /** `limit` is that of a WebSocket's messages (setting `websocket_max_message_size`). */
  constructor(socket: Socket, limit: WebSocketLimit | undefined) {
    this.#socket = socket
    this.#write = socket.write
    this.#end = socket.end
    const define = (name: string, value: unknown): void =>
      void Object.defineProperty(socket, name, { value, writable: true, configurable: true })
    define('write', this.#onWrite)
    define('end', this.#onEnd)
    this.#limit = limit
    if (limit === undefined) return
    const { push } = socket
    const filtered = (chunk: unknown) => (Buffer.isBuffer(chunk) ? limit.filter(chunk) : chunk)
    define('push', (chunk: unknown, encoding?: BufferEncoding) =>
      push.call(socket, filtered(chunk), encoding),
    )
  }

  /** Returns what the application may read of the bytes that came with the head of the request. */
  filterHead(bytes: Buffer): Buffer {
    return this.#limit?.filter(bytes) ?? bytes
  }

  /** Closes a WebSocket with a close frame once it is old enough; another protocol continues. */
  drain(): void {
    this.#isDraining = true
    if (this.#frames) this.#closeWhenOld(this.#frames)
  }

  readonly #onWrite = (
    chunk: unknown,
    encoding?: BufferEncoding | Callback,
    callback?: Callback,
  ): boolean => {
    const name = typeof encoding === 'string' ? encoding : 'utf8'
    const done = typeof encoding === 'function' ? encoding : callback
    const socket = this.#socket
    const isText = typeof chunk === 'string'
    // Node.js refuses other types with an error of its own.
    if (!isText && !(chunk instanceof Uint8Array)) {
      return Reflect.apply(this.#write, socket, [chunk, name, done])
    }
    if (this.#frames === null) return this.#write.call(socket, chunk, name, done)
    const bytes = isText ? Buffer.from(chunk, name) : chunk
    const count = this.#hasSentClose ? 0 : this.#inspect(bytes)
    const isWhole = count === bytes.length
    const room = this.#write.call(socket, isWhole ? bytes : bytes.subarray(0, count), name, done)
    if (this.#isClosing && this.#frames) this.#closeWebSocket(this.#frames)
    return room
  }

  readonly #onEnd = (
    chunk?: unknown,
    encoding?: BufferEncoding | Callback,
    last?: Callback,
  ): Socket => {
    const callback = [chunk, encoding, last].find((it) => typeof it === 'function')
    const hasChunk = typeof chunk !== 'function' && chunk !== undefined && chunk !== null
    if (hasChunk) this.#onWrite(chunk, typeof encoding === 'string' ? encoding : 'utf8')
    if (this.#isRefusal && !this.#socket.writableEnded) this.#destroyWhenIdle()
    return Reflect.apply(this.#end, this.#socket, [callback])
  }

  /** Whether the application has refused the upgrade, or has sent no response. */
  get #isRefusal(): boolean {
    return this.status >= 300 || this.head === ''
  }

  /**
   * Destroys the connection once the client has sent nothing for `CLOSE_TIMEOUT_MS`: until then it
   * counts as in flight and holds up a drain.
   */
  #destroyWhenIdle(): void {
    const socket = this.#socket
    let { bytesRead } = socket
    const timer = setInterval(() => {
      if (socket.bytesRead === bytesRead) socket.destroy()
      bytesRead = socket.bytesRead
    }, CLOSE_TIMEOUT_MS)
    timer.unref()
    socket.once('close', () => clearInterval(timer))
  }

  /** Follows head and frames; returns how many of the bytes to send to the client. */
  #inspect(bytes: Uint8Array): number {
    let start = 0
    if (this.#frames === undefined) {
      const before = this.head.length
      this.head += Buffer.from(bytes.subarray(0, MAX_HEAD_BYTES - before)).toString('latin1')
      const end = this.head.indexOf('\r\n\r\n')
      if (end < 0 && this.head.length < MAX_HEAD_BYTES) return bytes.length
      this.head = this.head.slice(0, end + 4)
      this.status = Number(/^HTTP\/1\.1 (\d{3})/.exec(this.head)?.[1] ?? 0)
      const isWebSocket = this.status === 101 && /^upgrade:\s*websocket\s*$/im.test(this.head)
      this.#frames = isWebSocket ? new WebSocketFrames() : null
      this.#acceptedAt = system.now()
      if (this.#frames && this.#isDraining) this.#closeWhenOld(this.#frames)
      start = end + 4 - before
    }
    if (!this.#frames) return bytes.length
    return start + this.#frames.skip(bytes.subarray(start), this.#isClosing)
  }

  #closeWhenOld(frames: WebSocketFrames): void {
    const close = (): void => {
      this.#isClosing = true
      this.#closeAfterTimeout()
      this.#closeWebSocket(frames)
    }
    const rest = this.#acceptedAt + MIN_WEBSOCKET_MS - system.now()
    if (rest <= 0) {
      close()
      return
    }
    const timer = setTimeout(close, rest)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #closeWebSocket(frames: WebSocketFrames): void {
    if (this.#hasSentClose || !frames.isAtBoundary || frames.hasCloseFrame) return
    this.#hasSentClose = true
    this.#write.call(this.#socket, RESTART_FRAME)
  }

  #closeAfterTimeout(): void {
    const socket = this.#socket
    const timer = setTimeout(() => socket.destroySoon(), CLOSE_TIMEOUT_MS)
    socket.once('close', () => clearTimeout(timer))
  }
}
