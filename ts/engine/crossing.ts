/**
 * The dispatcher: what the I/O thread hands over in one batch becomes one call after the other, in node's order and
 * context (`docs/design/crossing.md`).
 *
 * Nothing here catches. A throw of a handler, or of a job that it queued, leaves the dispatcher, so that Node reports it
 * as it reports any other; the rest of the batch follows in a later turn.
 */
import { AsyncResource } from 'node:async_hooks'
import type { Exchange, ExchangeHandler } from './exchange.ts'
import { type Live, NativeConnection, NativeExchange } from './native-exchange.ts'
import { IN, PLACE_MASK, u16, u32 } from './records.ts'
import type { Ring } from './ring.ts'
import { countBodyBytes } from './young-garbage.ts'

/** From Node 24 on an async scope is empty of what handlers entered, whichever resource opens it. */
const SHARED_SCOPE = Number(process.versions.node.split('.')[0]) >= 24
const scope = new AsyncResource('HTTPINCOMINGMESSAGE')

/** What runs the nextTick and promise jobs of a request before the next handler, as Node does after each callback. */
const runJobs = (process as unknown as { _tickCallback(): void })._tickCallback.bind(process)

let inHand: Exchange | undefined

/** The exchange whose handler, or whose jobs, run now; after a throw the one that threw. */
export function exchangeInHand(): Exchange | undefined {
  return inHand
}

interface Batch {
  readonly text: string
  readonly chunks: readonly Buffer[]
  at: number
  chunk: number
}

export class Crossing {
  readonly #ring: Ring
  readonly #handlers: Map<number, ExchangeHandler>
  readonly #live: Live = []
  readonly #connections: (NativeConnection | undefined)[] = []
  readonly #batches: Batch[] = []
  readonly #onIdle: () => void
  readonly #onTrouble: (text: string) => void
  readonly #resume = (): void => this.#run()

  constructor(
    ring: Ring,
    handlers: Map<number, ExchangeHandler>,
    onIdle: () => void,
    onTrouble: (text: string) => void,
  ) {
    this.#ring = ring
    this.#handlers = handlers
    this.#onIdle = onIdle
    this.#onTrouble = onTrouble
  }

  /** Called by the engine with each batch. */
  readonly dispatch = (text: string, chunks: readonly Buffer[] | undefined): void => {
    this.#batches.push({ text, chunks: chunks ?? [], at: 0, chunk: 0 })
    // What an earlier batch has left behind its throw comes first.
    this.#run()
  }

  #run(): void {
    const ring = this.#ring
    ring.inBatch = true
    let done = false
    try {
      for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
        while (batch.at < batch.text.length) {
          this.#step(batch)
          runJobs()
          inHand = undefined
          if (batch.at < batch.text.length) ring.wakeInBatch()
        }
        this.#batches.shift()
      }
      done = true
    } finally {
      ring.endBatch()
      if (!done) setImmediate(this.#resume)
    }
  }

  /** Takes one record; its place is passed before anything of the application runs. */
  #step(batch: Batch): void {
    const { text, at } = batch
    const id = u32(text, at + 1)
    switch (text.charCodeAt(at)) {
      case IN.REQUEST:
        return this.#request(batch, id, at + 5)
      case IN.DATA: {
        batch.at = at + 5
        const chunk = batch.chunks[batch.chunk++]
        const exchange = this.#find(id)
        if (exchange === undefined || chunk === undefined) return
        countBodyBytes(chunk.length)
        return exchange.owner?.onData(chunk)
      }
      case IN.END: {
        const length = u16(text, at + 5)
        batch.at = at + 7 + length
        this.#find(id)?.bodyEnded(trailersOf(text.slice(at + 7, at + 7 + length)))
        return
      }
      case IN.DRAINED:
        batch.at = at + 5
        this.#find(id)?.drained()
        return
      case IN.ABORTED:
        batch.at = at + 5
        return this.#aborted(id)
      case IN.CONNECTION: {
        batch.at = at + 16 + text.charCodeAt(at + 14) + text.charCodeAt(at + 15)
        return this.#connection(id, text, at + 5)
      }
      case IN.CONNECTION_CLOSED: {
        batch.at = at + 5
        const connection = this.#connections[id & PLACE_MASK]
        this.#connections[id & PLACE_MASK] = undefined
        connection?.handler.onConnectionClosed?.(connection)
        return
      }
      case IN.TROUBLE: {
        const length = u16(text, at + 5)
        batch.at = at + 7 + length
        return this.#onTrouble(text.slice(at + 7, at + 7 + length))
      }
      default:
        batch.at = at + 5
        return this.#onIdle()
    }
  }

  #request(batch: Batch, id: number, at: number): void {
    const text = batch.text
    batch.at = at + 4 + u32(text, at)
    const flags = text.charCodeAt(at + 8)
    const body = flags >> 3 === 1 ? batch.chunks[batch.chunk++] : undefined
    const connection = this.#connections[u32(text, at + 4) & PLACE_MASK]
    if (connection === undefined) return
    const place = id & PLACE_MASK
    const exchange = new NativeExchange(
      this.#ring,
      this.#live,
      place,
      connection,
      id,
      text,
      at + 9,
      flags,
      body,
    )
    this.#live[place] = exchange
    inHand = exchange
    const handler = connection.handler
    const resource = SHARED_SCOPE ? scope : new AsyncResource('HTTPINCOMINGMESSAGE')
    resource.runInAsyncScope(handler.onExchange, handler, exchange)
  }

  #connection(id: number, text: string, at: number): void {
    const handler = this.#handlers.get(u32(text, at))
    if (handler === undefined) return
    const connection = new NativeConnection(this.#ring, handler, id, text, at + 4)
    this.#connections[id & PLACE_MASK] = connection
    handler.onConnection?.(connection)
  }

  #aborted(id: number): void {
    const exchange = this.#find(id)
    if (exchange === undefined) return
    this.#live[id & PLACE_MASK] = undefined
    exchange.ended = true
    exchange.bodyOpen = false
    exchange.owner?.onAborted()
  }

  #find(id: number): NativeExchange | undefined {
    const exchange = this.#live[id & PLACE_MASK]
    return exchange?.id === id ? exchange : undefined
  }
}

/** `Name: value` lines as a flat array. */
function trailersOf(lines: string): string[] {
  if (lines === '') return []
  return lines
    .slice(0, -2)
    .split('\r\n')
    .flatMap((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
}
