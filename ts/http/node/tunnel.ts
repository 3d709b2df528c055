/**
 * The bytes of a socket whose connection the application has taken over by 'upgrade' or 'connect'.
 * `socket.ts` passes the stream's reads and writes on to this class; node's streams do the rest.
 */
import { AsyncResource } from 'node:async_hooks'
import type { ExchangeOwner, Tunnel } from '../../engine/exchange.ts'
import type { WebSocketLimit } from '../../engine/websocket-limit.ts'
import { socketReset } from './errors.ts'
import { kOwner, type ServerSocket } from './server-socket.ts'

type StreamCallback = (error?: Error | null) => void

/** One write in the array that a stream passes to `_writev`. */
export interface StreamChunk {
  readonly chunk: string | Uint8Array
  readonly encoding: BufferEncoding
}

/**
 * Carries the bytes between a socket's stream and the engine's tunnel, with backpressure in both
 * directions.
 */
export class SocketTunnel implements ExchangeOwner {
  /** Bytes from the client since the head of the request. */
  bytesRead: number
  /** Bytes passed to the engine. */
  bytesWritten = 0
  readonly #socket: ServerSocket
  readonly #tunnel: Tunnel
  /**
   * The async context of the connection, as node has one for each: a store that one connection
   * enters stays its own.
   */
  readonly #scope = new AsyncResource('MONOCEROSTUNNEL')
  /**
   * Bytes that were pushed beyond the stream's high-water mark. The engine gets their credit with
   * the next read.
   */
  #unconsumedBytes = 0
  /** The chunks of a `writev` that is not complete, and the index of the first unwritten one. */
  #pendingChunks: readonly StreamChunk[] = []
  #nextChunk = 0
  #onWritten: StreamCallback | undefined
  #onFlushed: StreamCallback | undefined
  /** Limits the messages of a WebSocket's client (setting `websocket_max_message_size`). */
  readonly #limit: WebSocketLimit | undefined
  #hasInputEnded = false
  #hasOutputEnded = false

  /** `bytesAhead` is the number of bytes that came with the head of the request. */
  constructor(
    socket: ServerSocket,
    tunnel: Tunnel,
    { bytesAhead, limit }: { bytesAhead: number; limit: WebSocketLimit | undefined },
  ) {
    this.#socket = socket
    this.#tunnel = tunnel
    this.bytesRead = bytesAhead
    this.#limit = limit
    tunnel.owner = this
  }

  /** Whether both directions have ended in order. Bytes that have arrived may still be unread. */
  get hasEnded(): boolean {
    return this.#hasInputEnded && this.#hasOutputEnded
  }

  onData(chunk: Buffer): void {
    this.#scope.runInAsyncScope(this.#receive, this, chunk)
  }

  onEnd(): void {
    this.#hasInputEnded = true
    this.#scope.runInAsyncScope(() => {
      this.#socket.push(null)
      // As in node, 'end' is emitted even if the application does not read.
      this.#socket.read(0)
    })
    const { readableFlowing, writableLength } = this.#socket
    if (readableFlowing === null && writableLength === 0) {
      this.#socket[kOwner].onUnreadEnd(this.#socket)
    }
  }

  onDrain(): void {
    this.#scope.runInAsyncScope(this.#writePending, this)
  }

  /**
   * The client has reset or closed the connection. The socket emits an error only if it has a
   * listener for it: an unhandled one would end the process.
   */
  onAborted(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    const hasErrorListener = socket.listenerCount('error') > 0
    this.#scope.runInAsyncScope(() => socket.destroy(hasErrorListener ? socketReset() : undefined))
  }

  /** An error that nothing caught: the client must not wait for bytes that never come. */
  onThrown(): void {
    this.#socket.destroy()
  }

  /** The stream has room again. */
  read(): void {
    if (this.#unconsumedBytes === 0) return
    this.#tunnel.consume(this.#unconsumedBytes)
    this.#unconsumedBytes = 0
  }

  write(chunk: string | Uint8Array, encoding: BufferEncoding, callback: StreamCallback): void {
    this.#socket._unrefTimer()
    if (this.#send(chunk, encoding)) callback()
    else this.#onWritten = callback
  }

  writev(chunks: readonly StreamChunk[], callback: StreamCallback): void {
    this.#socket._unrefTimer()
    this.#pendingChunks = chunks
    this.#nextChunk = 0
    this.#onWritten = callback
    this.#writePending()
  }

  /** Half-closes the connection, and calls back when the last byte has been sent. */
  final(callback: StreamCallback): void {
    this.#hasOutputEnded = true
    if (this.#tunnel.end()) callback()
    else this.#onFlushed = callback
  }

  /** Drops pending writes, since the socket is destroyed, and calls their callback. */
  cancelWrites(): void {
    const callback = this.#onWritten
    this.#onWritten = undefined
    this.#pendingChunks = []
    if (callback !== undefined) process.nextTick(callback, null)
  }

  #receive(chunk: Buffer): void {
    const socket = this.#socket
    if (socket.destroyed) return
    this.bytesRead += chunk.length
    socket._unrefTimer()
    if (socket.push(this.#limit?.filter(chunk) ?? chunk)) this.#tunnel.consume(chunk.length)
    else this.#unconsumedBytes += chunk.length
  }

  #send(chunk: string | Uint8Array, encoding: BufferEncoding): boolean {
    this.bytesWritten +=
      typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
    return this.#tunnel.write(chunk, encoding)
  }

  /**
   * Writes pending chunks until the engine has no room, and then calls the callback that is due.
   */
  #writePending(): void {
    const chunks = this.#pendingChunks
    while (this.#nextChunk < chunks.length) {
      const next = chunks[this.#nextChunk++]
      if (next !== undefined && !this.#send(next.chunk, next.encoding)) return
    }
    this.#pendingChunks = []
    const onWritten = this.#onWritten
    if (onWritten !== undefined) {
      this.#onWritten = undefined
      onWritten()
      return
    }
    const onFlushed = this.#onFlushed
    this.#onFlushed = undefined
    onFlushed?.()
  }
}
