/**
 * A connection that the application has taken over, on the engine over node:http: its socket is node's own. What is
 * written to it is looked at, for the access log and so that a drain can close a WebSocket between two frames.
 */
import type { Socket } from 'node:net'
import { RESTART_FRAME, WebSocketFrames } from './websocket-frames.ts'

/** The head of the application's answer is looked for in so many of its bytes. */
const MAX_HEAD_BYTES = 16_384

/** A client may take so long to answer the close of its WebSocket, or to go when it is refused. */
const CLOSE_TIMEOUT_MS = 5_000

type Callback = (error?: Error | null) => void
type WriteMethod = (
  this: Socket,
  chunk: Uint8Array | string,
  encoding?: BufferEncoding,
  callback?: Callback,
) => boolean

export class NodeTunnel {
  /** What the application has answered; 0 and nothing before it has. */
  status = 0
  /** Its head, as it was written. */
  head = ''
  readonly #socket: Socket
  readonly #write: WriteMethod
  readonly #end: (callback?: Callback) => Socket
  /** Undefined before the head has ended, and null where no WebSocket follows. */
  #frames: WebSocketFrames | null | undefined
  #isDraining = false
  /** The engine has closed the WebSocket: nothing of the application's follows. */
  #hasSentClose = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.#write = socket.write as WriteMethod
    this.#end = socket.end
    const define = (name: string, value: unknown): void =>
      void Object.defineProperty(socket, name, { value, writable: true, configurable: true })
    define('write', this.#onWrite)
    define('end', this.#onEnd)
  }

  /** The worker drains: a WebSocket is told; others go on. */
  drain(): void {
    this.#isDraining = true
    if (!this.#frames) return
    this.#closeAfterTimeout()
    this.#closeWebSocket(this.#frames)
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
    // What is no chunk is node's to refuse.
    if (!isText && !(chunk instanceof Uint8Array)) {
      return this.#write.call(socket, chunk as Uint8Array, name, done)
    }
    if (this.#frames === null) return this.#write.call(socket, chunk, name, done)
    const bytes = isText ? Buffer.from(chunk, name) : chunk
    const count = this.#hasSentClose ? 0 : this.#inspect(bytes)
    const isWhole = count === bytes.length
    const room = this.#write.call(socket, isWhole ? bytes : bytes.subarray(0, count), name, done)
    if (this.#isDraining && this.#frames) this.#closeWebSocket(this.#frames)
    return room
  }

  readonly #onEnd = (...args: unknown[]): Socket => {
    const [chunk, encoding] = args
    const callback = args.find((it) => typeof it === 'function') as Callback | undefined
    const hasChunk = typeof chunk !== 'function' && chunk !== undefined && chunk !== null
    if (hasChunk) this.#onWrite(chunk, typeof encoding === 'string' ? (encoding as 'utf8') : 'utf8')
    if (this.#isRefusal && !this.#socket.writableEnded) this.#destroyWhenIdle()
    return this.#end.call(this.#socket, callback)
  }

  /** The application has answered that it does not take the connection over, or nothing. */
  get #isRefusal(): boolean {
    return this.status >= 300 || this.head === ''
  }

  /** A client that stays counts as in hand: it has a while, and for each piece that it still sends another. */
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

  /** Returns how many of the bytes go to the client. */
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
      if (isWebSocket && this.#isDraining) this.#closeAfterTimeout()
      start = end + 4 - before
    }
    if (!this.#frames) return bytes.length
    return start + this.#frames.skip(bytes.subarray(start), this.#isDraining)
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
