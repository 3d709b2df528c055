/**
 * The bytes of a socket whose connection the application has taken over, by 'upgrade' or 'connect': node's streams do
 * the rest. `socket.ts` asks this once it is there.
 */
import { AsyncResource } from 'node:async_hooks'
import type { ExchangeOwner, Tunnel } from '../../engine/exchange.ts'
import { socketReset } from './errors.ts'
import type { ServerSocket } from './socket.ts'

type StreamCallback = (error?: Error | null) => void

/** What a stream hands over at once. */
export interface StreamChunk {
  readonly chunk: string | Uint8Array
  readonly encoding: BufferEncoding
}

export class SocketTunnel implements ExchangeOwner {
  bytesRead: number
  bytesWritten = 0
  readonly #socket: ServerSocket
  readonly #tunnel: Tunnel
  /** As each connection on node has one: what a handler of this connection enters no other sees. */
  readonly #scope = new AsyncResource('MONOCEROSTUNNEL')
  /** Bytes that the stream has no room for: given back when it is read. */
  #unconsumedBytes = 0
  /** Chunks that wait for what was written before, and the first of them that does. */
  #pendingChunks: readonly StreamChunk[] = []
  #nextChunk = 0
  #onWritten: StreamCallback | undefined
  #onFlushed: StreamCallback | undefined
  #hasInputEnded = false
  #hasOutputEnded = false

  constructor(socket: ServerSocket, tunnel: Tunnel, ahead: number) {
    this.#socket = socket
    this.#tunnel = tunnel
    this.bytesRead = ahead
    tunnel.owner = this
  }

  /** Both sides have ended in order: what is left is the reader's. */
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
      // 'end' comes also where nobody reads, as on node.
      this.#socket.read(0)
    })
  }

  onDrain(): void {
    this.#scope.runInAsyncScope(this.#writePending, this)
  }

  /** The client has gone. Whoever listens for errors hears of it; where nobody does, it is no reason to end a process. */
  onAborted(): void {
    const socket = this.#socket
    if (socket.destroyed) return
    const heard = socket.listenerCount('error') > 0
    this.#scope.runInAsyncScope(() => socket.destroy(heard ? socketReset() : undefined))
  }

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

  /** Half-closes, and calls back when the last byte has gone. */
  final(callback: StreamCallback): void {
    this.#hasOutputEnded = true
    if (this.#tunnel.end()) callback()
    else this.#onFlushed = callback
  }

  /** The socket is destroyed: whoever waits for a write has waited long enough. */
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
    if (socket.push(chunk)) this.#tunnel.consume(chunk.length)
    else this.#unconsumedBytes += chunk.length
  }

  #send(chunk: string | Uint8Array, encoding: BufferEncoding): boolean {
    this.bytesWritten +=
      typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
    return this.#tunnel.write(chunk, encoding)
  }

  /** Goes on with what waits, as far as there is room. */
  #writePending(): void {
    for (const chunks = this.#pendingChunks; this.#nextChunk < chunks.length; ) {
      const { chunk, encoding } = chunks[this.#nextChunk++] as StreamChunk
      if (!this.#send(chunk, encoding)) return
    }
    this.#pendingChunks = []
    const written = this.#onWritten
    if (written !== undefined) {
      this.#onWritten = undefined
      written()
      return
    }
    const flushed = this.#onFlushed
    this.#onFlushed = undefined
    flushed?.()
  }
}
