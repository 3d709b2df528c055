// A client that sends exact bytes and reads what comes back, answer by answer: what an HTTP library
// would hide or repair.

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export { sleep }

export interface Answer {
  readonly status: number
  readonly reason: string
  /** Names in lower case; of several with one name the last. */
  readonly fields: Readonly<Record<string, string>>
  readonly body: string
}

/** Wide: no test waits for it unless it fails. */
const PATIENCE_MS = 60_000

export class Connection {
  readonly socket: net.Socket
  #received = Buffer.alloc(0)
  #ended = false
  #error: string | undefined
  #wake: () => void = () => {}

  /** `from` is an address of this machine: another than the usual one is another peer. */
  constructor(port: number, from = '127.0.0.1') {
    this.socket = net.connect({
      ...{ port, host: '127.0.0.1', localAddress: from },
      ...{ allowHalfOpen: true, noDelay: true },
    })
    this.socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes])
      this.#wake()
    })
    this.socket.on('end', () => this.#close())
    this.socket.on('close', () => this.#close())
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= error.code ?? error.message
      this.#close()
    })
  }

  /**
   * Sends bytes; a text is latin1. A server that has closed takes none, which is no failure here.
   */
  send(bytes: string | Buffer): this {
    if (this.socket.writable) {
      this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    }
    return this
  }

  /**
   * Sends in pieces that the other side receives one by one, as far as a client can bring that
   * about.
   */
  async sendPieces(pieces: readonly Buffer[]): Promise<void> {
    for (const [place, piece] of pieces.entries()) {
      if (place > 0) await sleep(1)
      if (this.#ended) return
      this.send(piece)
    }
  }

  /** Ends the client's side only. */
  halfClose(): this {
    this.socket.end()
    return this
  }

  /** The next answer, an interim one included. The answer to HEAD has no body. */
  async answer(toHead = false): Promise<Answer> {
    await this.#until(() => this.#ended || this.#parse(toHead) !== undefined, 'an answer')
    const parsed = this.#parse(toHead)
    if (parsed === undefined) throw new Error(`no answer${this.#soFar()}`)
    this.#received = this.#received.subarray(parsed.length)
    return parsed.answer
  }

  /** The next answer that is not interim. */
  async finalAnswer(toHead = false): Promise<Answer> {
    for (;;) {
      const answer = await this.answer(toHead)
      if (answer.status >= 200) return answer
    }
  }

  /**
   * Waits for the server's end of the connection; the result is what came and was not read as an
   * answer.
   */
  async end(): Promise<string> {
    await this.#until(() => this.#ended, 'the end of the connection')
    return this.#received.toString('latin1')
  }

  /** Waits for a number of unread bytes. */
  async bytes(count: number): Promise<void> {
    await this.#until(() => this.#ended || this.#received.length >= count, `${count} bytes`)
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  /** How it ended, when not in order. */
  get error(): string | undefined {
    return this.#error
  }

  get unread(): string {
    return this.#received.toString('latin1')
  }

  destroy(): void {
    this.socket.destroy()
  }

  #close(): void {
    this.#ended = true
    this.socket.end()
    this.#wake()
  }

  #parse(toHead: boolean): { answer: Answer; length: number } | undefined {
    const text = this.#received.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const [line = '', ...lines] = text.slice(0, end).split('\r\n')
    const [, status = '', reason = ''] = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(line) ?? []
    if (status === '') throw new Error(`no status line${this.#soFar()}`)
    const fields = Object.fromEntries(
      lines.map((each) => {
        const colon = each.indexOf(':')
        return [each.slice(0, colon).toLowerCase(), each.slice(colon + 1).trim()]
      }),
    )
    const from = end + 4
    const of = (body: string, length: number) => ({
      answer: { status: Number(status), reason, fields, body },
      length: from + length,
    })
    if (toHead || status.startsWith('1') || status === '204' || status === '304') return of('', 0)
    if (fields['transfer-encoding'] === 'chunked') {
      const chunked = dechunk(text.slice(from))
      return chunked && of(chunked.body, chunked.length)
    }
    const length = fields['content-length']
    if (length === undefined) {
      return this.#ended ? of(text.slice(from), text.length - from) : undefined
    }
    if (text.length < from + Number(length)) return undefined
    return of(text.slice(from, from + Number(length)), Number(length))
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!done()) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`waited in vain for ${what}${this.#soFar()}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 1_000))
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  #soFar(): string {
    const how = this.#ended ? `ended (${this.#error ?? 'in order'})` : 'open'
    return `: ${how} after ${JSON.stringify(this.unread.slice(0, 500))}`
  }
}

function dechunk(text: string): { body: string; length: number } | undefined {
  let body = ''
  for (let at = 0; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return undefined
    const size = Number.parseInt(text.slice(at, line), 16)
    const data = line + 2
    if (size === 0) {
      const end = text.startsWith('\r\n', data) ? data : text.indexOf('\r\n\r\n', data) + 2
      return end >= 2 && text.length >= end + 2 ? { body, length: end + 2 } : undefined
    }
    if (text.length < data + size + 2) return undefined
    body += text.slice(data, data + size)
    at = data + size + 2
  }
}

/** Connects, sends, and reads one answer. */
export async function ask(port: number, bytes: string | Buffer, from?: string): Promise<Answer> {
  const connection = new Connection(port, from).send(bytes)
  try {
    return await connection.finalAnswer()
  } finally {
    connection.destroy()
  }
}

/** Runs a number of them concurrently, in the order of their start. */
export async function parallel<T>(
  items: readonly T[],
  atOnce: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of rest) await run(item)
    }),
  )
}
