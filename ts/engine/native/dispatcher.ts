/**
 * The dispatcher: what the I/O thread hands over in one batch becomes one call after the other, in node's order and
 * context (`docs/design/crossing.md`).
 *
 * Nothing here catches. A throw of a handler, or of a job that it queued, leaves the dispatcher, so that Node reports it
 * as it reports any other; the rest of the batch follows in a later turn.
 */
import { AsyncResource } from 'node:async_hooks'
import type { NativeEngine } from '../../native/index.ts'
import type { Exchange, ExchangeHandler } from '../exchange.ts'
import { meetUnheard } from '../expectation.ts'
import { tlsInfoLength } from '../tls-info.ts'
import { BodyBuffers } from './body-buffers.ts'
import { NativeConnection, SECURE } from './connection.ts'
import { type LiveExchanges, NativeExchange } from './exchange.ts'
import { countReceived } from './gc-pressure.ts'
import type { Ring } from './ring.ts'
import type { NativeTunnel } from './tunnel.ts'
import { IN, OUT, PLACE_MASK, REQUEST, u16, u32 } from './wire.ts'

/** From Node 24 on an async scope is empty of what handlers entered, whichever resource opens it. */
const SHARED_SCOPE = Number(process.versions.node.split('.')[0]) >= 24
const scope = new AsyncResource('HTTPINCOMINGMESSAGE')

/** What runs the nextTick and promise jobs of a request before the next handler, as Node does after each callback. */
const runJobs = unwrapped((process as unknown as { _tickCallback(): void })._tickCallback)

/** With --pending-deprecation Node hands out a function that warns first; the one that it calls is its prototype. */
function unwrapped(run: () => void): () => void {
  const inner: unknown = Object.getPrototypeOf(run)
  return inner === Function.prototype ? run : (inner as () => void)
}

let inHand: Exchange | undefined

/** The exchange whose handler, listeners or jobs run now; after a throw the one that threw. */
export function currentExchange(): Exchange | undefined {
  return inHand
}

/** A text that is no shorter may be a part of its batch: `PART` of `inbound.rs`. */
const PART_BYTES = 4_096

/** Batches that are taken before the event loop has its turn for timers and other descriptors. */
const BATCHES_A_TURN = 8

export class Dispatcher {
  readonly #ring: Ring
  readonly #engine: NativeEngine
  readonly #pieces: BodyBuffers
  readonly #handlers: Map<number, ExchangeHandler>
  readonly #live: LiveExchanges = []
  /** Those whose places others have, and who are still to hear that all of theirs has gone, by their ids. */
  readonly #displaced = new Map<number, NativeExchange | NativeTunnel>()
  readonly #connections: (NativeConnection | undefined)[] = []
  /** Streams of HTTP/2, by the places of their exchanges. */
  readonly #streams: (NativeConnection | undefined)[] = []
  readonly #onIdle: () => void
  readonly #onFault: (text: string) => void
  /** The batch at work and how far it has been read. */
  #text = ''
  #at = 0

  constructor(
    ring: Ring,
    engine: NativeEngine,
    handlers: Map<number, ExchangeHandler>,
    onIdle: () => void,
    onFault: (text: string) => void,
  ) {
    this.#ring = ring
    this.#engine = engine
    this.#pieces = new BodyBuffers(engine)
    this.#handlers = handlers
    this.#onIdle = onIdle
    this.#onFault = onFault
  }

  /** Takes batches as long as they come; called when the engine has woken this thread. */
  readonly run = (): void => {
    const ring = this.#ring
    ring.inBatch = true
    let again = true
    try {
      for (let batches = 0; this.#at < this.#text.length || this.#take(); batches++) {
        if (batches === BATCHES_A_TURN) return
        while (this.#at < this.#text.length) {
          this.#step()
          runJobs()
          inHand = undefined
          if (this.#at < this.#text.length) ring.wakeInBatch()
        }
      }
      again = false
    } finally {
      ring.endBatch()
      // After a throw, too, what the batch still holds is for the next turn.
      if (again) setImmediate(this.run)
    }
  }

  /** Takes the next batch, or the next part of one; what was answered meanwhile is sent while this is worked on. */
  #take(): boolean {
    // More of the same batch may follow, of which few answers are worth no call.
    if (this.#text.length < PART_BYTES) this.#ring.wake()
    else this.#ring.wakeInBatch()
    this.#text = this.#engine.take() ?? ''
    this.#pieces.restart()
    this.#at = 0
    return this.#text !== ''
  }

  /** Takes one record; its place is passed before anything of the application runs. */
  #step(): void {
    const text = this.#text
    const at = this.#at
    const id = u32(text, at + 1)
    switch (text.charCodeAt(at)) {
      case IN.REQUEST:
        return this.#request(id, at + 5)
      case IN.DATA: {
        this.#at = at + 5
        const chunk = this.#pieces.next()
        const exchange = this.#hold(id)
        if (exchange === undefined) return
        countReceived(chunk.length)
        return exchange.owner?.onData(chunk)
      }
      case IN.END: {
        const length = u16(text, at + 5)
        this.#at = at + 7 + length
        this.#hold(id)?.bodyEnded(trailersOf(text.slice(at + 7, at + 7 + length)))
        return
      }
      case IN.DRAINED:
        this.#at = at + 5
        return this.#drained(id)
      case IN.ABORTED:
        this.#at = at + 5
        return this.#aborted(id)
      case IN.CONNECTION: {
        const end = at + 16 + text.charCodeAt(at + 14) + text.charCodeAt(at + 15)
        const isSecure = (text.charCodeAt(at + 9) & SECURE) !== 0
        this.#at = isSecure ? end + tlsInfoLength(text, end) : end
        return this.#connection(id, text, at + 5)
      }
      case IN.CONNECTION_CLOSED: {
        this.#at = at + 5
        const connection = this.#connections[id & PLACE_MASK]
        this.#connections[id & PLACE_MASK] = undefined
        if (connection === undefined) return
        connection.closed = true
        if (!connection.multiplexes) connection.handler.onConnectionClosed?.(connection)
        return
      }
      case IN.STREAM_CLOSED: {
        this.#at = at + 5
        const stream = this.#streams[id & PLACE_MASK]
        if (stream?.id !== id) return
        this.#streams[id & PLACE_MASK] = undefined
        stream.closed = true
        stream.handler.onConnectionClosed?.(stream)
        return
      }
      case IN.WITHDRAWN: {
        // A request whose time ran out before this thread came for it: answered, and none of its body is wanted.
        this.#at = at + 9 + u32(text, at + 5)
        const flags = text.charCodeAt(at + 13)
        if (hasWholeBody(flags)) this.#pieces.next()
        if ((flags & REQUEST.AHEAD) !== 0) this.#pieces.next()
        return
      }
      case IN.REFUSED: {
        this.#at = at + 6
        const packet = this.#pieces.next()
        const connection = this.#connections[id & PLACE_MASK]
        connection?.handler.onRefused?.(connection, text.charCodeAt(at + 5), packet)
        return
      }
      case IN.TROUBLE: {
        const length = u16(text, at + 5)
        this.#at = at + 7 + length
        return this.#onFault(text.slice(at + 7, at + 7 + length))
      }
      default:
        this.#at = at + 5
        return this.#onIdle()
    }
  }

  #request(id: number, at: number): void {
    const text = this.#text
    this.#at = at + 4 + u32(text, at)
    const flags = text.charCodeAt(at + 8)
    const body = hasWholeBody(flags) ? this.#pieces.next() : undefined
    const ahead = (flags & REQUEST.AHEAD) !== 0 ? this.#pieces.next() : undefined
    const told = this.#connections[u32(text, at + 4) & PLACE_MASK]
    if (told === undefined) return
    const place = id & PLACE_MASK
    const connection = told.multiplexes ? this.#stream(told, id) : told
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
    if ((flags & REQUEST.TOLD) !== 0 || connection.forwards) connection.forward(exchange)
    const before = this.#live[place]
    if (before?.isFull === true) this.#displaced.set(before.id, before)
    this.#live[place] = exchange
    inHand = exchange
    const handler = connection.handler
    const resource = SHARED_SCOPE ? scope : new AsyncResource('HTTPINCOMINGMESSAGE')
    if ((flags & (REQUEST.UPGRADE | REQUEST.EXPECTS)) === 0) {
      resource.runInAsyncScope(handler.onExchange, handler, exchange)
      return
    }
    exchange.ahead = ahead
    if (!handler.decides && !meetUnheard(exchange)) return
    resource.runInAsyncScope(handler.onExchange, handler, exchange)
    exchange.decline()
  }

  #connection(id: number, text: string, at: number): void {
    const handler = this.#handlers.get(u32(text, at))
    // Its server has been forgotten: nobody would ever answer.
    if (handler === undefined) return this.#ring.command(OUT.DESTROY, id, 1)
    const connection = new NativeConnection(this.#ring, handler, id, { text, at: at + 4 })
    this.#connections[id & PLACE_MASK] = connection
    if (!connection.multiplexes) handler.onConnection?.(connection)
  }

  /** What a connection is to a request of HTTP/1, a stream is to one of HTTP/2. */
  #stream(connection: NativeConnection, id: number): NativeConnection {
    const stream = connection.stream(id)
    this.#streams[id & PLACE_MASK] = stream
    stream.handler.onConnection?.(stream)
    return stream
  }

  /** The engine answers whoever asks, also when it has given the place of the exchange away meanwhile. */
  #drained(id: number): void {
    const displaced = this.#displaced.get(id)
    if (displaced === undefined) return this.#hold(id)?.drained()
    this.#displaced.delete(id)
    displaced.gone()
  }

  #aborted(id: number): void {
    const exchange = this.#find(id)
    if (exchange === undefined) return
    this.#live[id & PLACE_MASK] = undefined
    exchange.aborted()
  }

  /** What a listener of the body or of 'drain' throws is its exchange's, too. */
  #hold(id: number): NativeExchange | NativeTunnel | undefined {
    const exchange = this.#find(id)
    if (exchange instanceof NativeExchange) inHand = exchange
    return exchange
  }

  #find(id: number): NativeExchange | NativeTunnel | undefined {
    const exchange = this.#live[id & PLACE_MASK]
    return exchange?.id === id ? exchange : undefined
  }
}

function hasWholeBody(flags: number): boolean {
  return ((flags >> REQUEST.BODY_SHIFT) & REQUEST.BODY_MASK) === 1
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
