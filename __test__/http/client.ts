/** A client that writes and reads bytes, for what an HTTP library would hide. */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export { sleep }

const PATIENCE_MS = 5_000

export class RawClient {
  readonly socket: net.Socket
  #received = ''
  #closed = false
  #wake: () => void = () => {}

  constructor(port: number) {
    this.socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.setEncoding('latin1')
    this.socket.on('data', (text) => {
      this.#received += text
      this.#wake()
    })
    const closed = (): void => {
      this.#closed = true
      this.socket.end()
      this.#wake()
    }
    this.socket.on('end', closed)
    this.socket.on('close', closed)
    this.socket.on('error', closed)
  }

  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  /** All bytes up to the server's end of the connection. */
  async untilClosed(): Promise<string> {
    await this.#until(() => this.#closed, 'the end of the connection')
    return this.#received
  }

  /** All bytes so far, once they contain `part`. */
  async untilReceived(part: string): Promise<string> {
    await this.#until(() => this.#received.includes(part), JSON.stringify(part))
    return this.#received
  }

  destroy(): void {
    this.socket.destroy()
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!done()) {
      const left = deadline - Date.now()
      if (left <= 0 || (this.#closed && !done())) {
        throw new Error(`waited for ${what}, received ${JSON.stringify(this.#received)}`)
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, Math.min(left, 100))
      })
    }
  }
}

/** Sends one text on a connection of its own and returns all that comes until the server closes. */
export async function exchange(port: number, text: string): Promise<string> {
  return masked(await new RawClient(port).send(text).untilClosed())
}

/** A request without a body that asks for the end of the connection. */
export function get(path: string, ...fields: string[]): string {
  return request('GET', path, ['Connection: close', ...fields])
}

export function request(method: string, path: string, fields: string[], body = ''): string {
  return `${[`${method} ${path} HTTP/1.1`, 'Host: test', ...fields].join('\r\n')}\r\n\r\n${body}`
}

/** The answer without what differs from one second to the next. */
export function masked(answer: string): string {
  return answer.replace(/Date: [^\r]* GMT/g, 'Date: D')
}

/** Resolves in a later turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * Waits until a value has stayed the same for `quietMs`. It is read every few milliseconds, each
 * time in another turn of the event loop, so that a machine that stalls does not look quiet.
 */
export async function untilQuiet(value: () => unknown, quietMs = 30): Promise<void> {
  const reads = Math.ceil(quietMs / POLL_MS)
  let last = value()
  for (let unchanged = 0; unchanged < reads; unchanged++) {
    await sleep(POLL_MS)
    const current = value()
    if (current !== last) unchanged = 0
    last = current
  }
}

const POLL_MS = 5

/** Waits for a condition; what is not so in time fails where it is used. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited in vain for a condition')
    await sleep(2)
  }
}
