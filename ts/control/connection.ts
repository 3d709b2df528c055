/**
 * One connection of the control socket. It has one command in flight; what the client sends
 * meanwhile is not read.
 */

import type { Socket } from 'node:net'

import {
  encodeLine,
  MAX_DISCARDED_LENGTH,
  MAX_REQUEST_LENGTH,
  MAX_UNSENT_BYTES,
} from './protocol.ts'

/** A connection, from the server's side. */
export class ControlConnection {
  /** Time of the latest answer, or of the connect. */
  lastActiveMs: number
  /** True once the client has sent a valid request. */
  hasAsked = false
  /** Called when the client has closed the connection. */
  onClosed: () => void = () => {}
  readonly #socket: Socket
  /** Called when a request can be taken. */
  readonly #onRequest: () => void
  #text = ''
  #isBusy = false
  #hasEnded = false
  #isClosing = false
  #discardedLength = 0

  constructor(socket: Socket, { nowMs, onRequest }: { nowMs: number; onRequest: () => void }) {
    this.#socket = socket
    this.#onRequest = onRequest
    this.lastActiveMs = nowMs
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => this.#receive(chunk))
    socket.on('end', () => {
      this.#hasEnded = true
      if (!this.#isBusy && !this.#hasLine) this.#socket.end()
    })
    // 'close' follows every error.
    socket.on('error', () => {})
    socket.on('close', () => this.onClosed())
  }

  /** True while a command is in flight. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Number of bytes that the client has not read. */
  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  /** Takes the next request; undefined if there is none, or if one is in flight. */
  takeRequest(): string | undefined {
    if (this.#isBusy || !this.#hasLine || this.#socket.destroyed) return undefined
    const at = this.#text.indexOf('\n')
    const line = this.#text.slice(0, at)
    this.#text = this.#text.slice(at + 1)
    this.#isBusy = true
    this.#socket.pause()
    return line
  }

  send(message: object): void {
    if (this.#socket.destroyed) return
    this.#socket.write(encodeLine(message))
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy()
  }

  /** Sends the answer to the request in flight; the next request can be taken. */
  finish(message: object, nowMs: number): void {
    this.send(message)
    this.#isBusy = false
    this.lastActiveMs = nowMs
    if (this.#hasLine) return this.#onRequest()
    if (this.#hasEnded) return this.close()
    this.#socket.resume()
  }

  /** Sends a last message and closes the connection. */
  refuse(message: object): void {
    this.send(message)
    this.close()
  }

  /** Closes the connection once everything is sent. */
  close(): void {
    this.#socket.end()
    this.#text = ''
    // What the client still sends is discarded, so that its end is noticed.
    this.#isClosing = true
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  get #hasLine(): boolean {
    return this.#text.includes('\n')
  }

  #receive(chunk: string): void {
    if (this.#isClosing) return this.#discard(chunk.length)
    this.#text += chunk
    if (this.#isBusy) return
    if (this.#hasLine) return this.#onRequest()
    if (this.#text.length <= MAX_REQUEST_LENGTH) return
    this.refuse({ ok: false, error: `a request has at most ${MAX_REQUEST_LENGTH} characters` })
  }

  // A client that sends without an end would take the time of the arbiter's loop.
  #discard(length: number): void {
    this.#discardedLength += length
    if (this.#discardedLength > MAX_DISCARDED_LENGTH) this.#socket.destroy()
  }
}
