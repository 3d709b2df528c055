/**
 * Calls the handlers for the events of a batch, one after the other, in Node's order and async
 * context (`docs/design/bridge.md`).
 *
 * The dispatcher catches no error. What a handler throws, or a job that it queued, propagates
 * from the dispatcher, and Node reports it like any other uncaught error. The rest of the batch
 * follows in a later turn.
 */
import {
  type CurrentExchange,
  enterClient,
  NO_CLIENT,
  runForClient,
  setInFlightSource,
} from '../../http/uncaught-errors.ts'
import type { NativeEngine } from '../../native/index.ts'
import type { ExchangeHandler } from '../exchange.ts'
import { applyDefaultExpectation } from '../expectation.ts'
import { tlsInfoLength } from '../tls-info.ts'
import { count64, u16, u32 } from './batch-text.ts'
import { BodyBuffers } from './body-buffers.ts'
import { NativeConnection } from './connection.ts'
import { type ExchangeLink, NativeExchange } from './exchange.ts'
import { countReceived } from './gc-pressure.ts'
import { endOf, flagsOf } from './request-record.ts'
import type { Ring } from './ring.ts'
import { rootScope, runInRootContext } from './server-scope.ts'
import type { NativeTunnel } from './tunnel.ts'
import {
  BODY_KIND,
  BODY_KIND_MASK,
  BODY_KIND_SHIFT,
  CLOSED_BYTES,
  CLOSED_RECEIVED_AT,
  CLOSED_WRITTEN_AT,
  CONNECTION_KIND,
  CONNECTION_KIND_AT,
  CONNECTION_LOCAL_LENGTH_AT,
  CONNECTION_REMOTE_LENGTH_AT,
  CONNECTION_SERVER_AT,
  CONNECTION_TEXTS_AT,
  EVENT,
  EVENT_BYTES,
  EVENT_ID_AT,
  PART_BYTES,
  REFUSED_BYTES,
  REFUSED_KIND_AT,
  REQUEST_CONNECTION_AT,
  REQUEST_FLAG,
  RING_FLAG,
  RING_RECORD,
  SLOT_MASK,
  TEXT_AT,
  TEXT_LENGTH_AT,
} from './wire.ts'

/**
 * Runs the nextTick and promise jobs of a request before the next handler, as Node does after each
 * callback.
 */
const runJobs = unwrap((process as unknown as { _tickCallback(): void })._tickCallback)

/**
 * With --pending-deprecation Node exposes a function that warns first. Its prototype is the
 * function that it calls.
 */
function unwrap(run: () => void): () => void {
  const inner: unknown = Object.getPrototypeOf(run)
  return inner === Function.prototype ? run : (inner as () => void)
}

let current: CurrentExchange | undefined

/**
 * Returns the exchange whose handler, listeners or jobs run now; after an uncaught error, the one
 * that threw it.
 */
export function currentExchange(): CurrentExchange | undefined {
  return current
}

/** Number of batches to take before timers and other descriptors have a turn of the event loop. */
const BATCHES_PER_TURN = 8

/** Reads batches of events and calls the handlers. */
export class Dispatcher {
  readonly #ring: Ring
  /** Returns the next part of a batch. */
  readonly #takeEvents: () => string | undefined
  readonly #chunks: BodyBuffers
  readonly #handlers: Map<number, ExchangeHandler>
  /** What every exchange needs: the ring, and the table of exchanges by slot. */
  readonly #link: ExchangeLink
  /** Exchanges whose slots have been given to others before their last bytes were sent, by id. */
  readonly #displaced = new Map<number, NativeExchange | NativeTunnel>()
  readonly #connections: (NativeConnection | undefined)[] = []
  /** HTTP/2 streams, by the slots of their exchanges. */
  readonly #streams: (NativeConnection | undefined)[] = []
  readonly #onIdle: () => void
  readonly #onFault: (text: string, level: number) => void
  /** The exchange whose handler runs or has thrown, if its whole body came with it. */
  #withWholeBody: NativeExchange | undefined = undefined
  /** The current part of a batch. */
  #text = ''
  /** How far it has been read. */
  #at = 0

  constructor(
    ring: Ring,
    { engine, takeEvents }: { engine: NativeEngine; takeEvents: () => string | undefined },
    handlers: Map<number, ExchangeHandler>,
    onIdle: () => void,
    onFault: (text: string, level: number) => void,
  ) {
    this.#ring = ring
    this.#takeEvents = takeEvents
    this.#chunks = new BodyBuffers(engine)
    this.#handlers = handlers
    this.#link = { ring, live: [] }
    this.#onIdle = onIdle
    this.#onFault = onFault
    setInFlightSource(() => this.#link.live.filter((each) => each instanceof NativeExchange))
  }

  /** Handles batches as long as there are some. Called when the engine has woken this thread. */
  readonly run = (): void => {
    const ring = this.#ring
    ring.isInBatch = true
    let again = true
    try {
      if (this.#withWholeBody !== undefined) this.#endWholeBody()
      for (let batches = 0; this.#at < this.#text.length || this.#take(); batches++) {
        if (batches === BATCHES_PER_TURN) return
        while (this.#at < this.#text.length) {
          this.#handleEvent()
          runJobs()
          if (this.#withWholeBody !== undefined) this.#endWholeBody()
          current = undefined
          if (this.#at < this.#text.length) ring.wakeInBatch()
        }
      }
      again = false
    } finally {
      ring.endBatch()
      // After an uncaught error the rest of the batch is handled in the next turn.
      // An immediate inherits the async context, which is that of the error.
      if (again) runInRootContext(() => setImmediate(this.run))
    }
  }

  #endWholeBody(): void {
    const exchange = this.#withWholeBody
    this.#withWholeBody = undefined
    exchange?.owner?.onWholeBodyEnd?.()
    runJobs()
  }

  /** Takes the next part of a batch. The responses so far are sent while it is handled. */
  #take(): boolean {
    // After a full part more of the same batch may follow: a wake for few responses would cost more
    // than it gains.
    if (this.#text.length < PART_BYTES) this.#ring.wake()
    else this.#ring.wakeInBatch()
    this.#text = this.#takeEvents() ?? ''
    this.#chunks.restart()
    this.#at = 0
    return this.#text !== ''
  }

  /** Handles one event. The position is advanced before any code of the application runs. */
  #handleEvent(): void {
    const text = this.#text
    const at = this.#at
    const id = u32(text, at + EVENT_ID_AT)
    current = NO_CLIENT
    switch (text.charCodeAt(at)) {
      case EVENT.REQUEST:
        return this.#handleRequest(id, at)
      case EVENT.DATA: {
        this.#at = at + EVENT_BYTES
        const chunk = this.#chunks.next()
        const exchange = this.#findCurrent(id)
        if (exchange === undefined) return
        countReceived(chunk.length)
        return runForClient(exchange, () => exchange.owner?.onData(chunk))
      }
      case EVENT.END: {
        const lines = this.#takeText(at)
        const exchange = this.#findCurrent(id)
        if (exchange === undefined) return
        return runForClient(exchange, () => exchange.endBody(parseTrailers(lines)))
      }
      case EVENT.DRAINED:
        this.#at = at + EVENT_BYTES
        return this.#handleDrained(id)
      case EVENT.ABORTED:
        this.#at = at + EVENT_BYTES
        return this.#handleAborted(id)
      case EVENT.CONNECTION:
        return this.#handleConnection(id, at)
      case EVENT.CONNECTION_CLOSED: {
        this.#at = at + CLOSED_BYTES
        const connection = this.#connections[id & SLOT_MASK]
        this.#connections[id & SLOT_MASK] = undefined
        if (connection === undefined) return
        connection.close([
          count64(text, at + CLOSED_RECEIVED_AT),
          count64(text, at + CLOSED_WRITTEN_AT),
        ])
        if (!connection.isMultiplexed) connection.handler.onConnectionClosed?.(connection)
        return
      }
      case EVENT.STREAM_CLOSED: {
        this.#at = at + EVENT_BYTES
        const stream = this.#streams[id & SLOT_MASK]
        if (stream?.id !== id) return
        this.#streams[id & SLOT_MASK] = undefined
        stream.closed = true
        stream.handler.onConnectionClosed?.(stream)
        return
      }
      case EVENT.WITHDRAWN: {
        // The engine has sent the response. The chunks of the request are skipped.
        this.#at = endOf(text, at)
        const flags = flagsOf(text, at)
        if (hasWholeBody(flags)) this.#chunks.next()
        if ((flags & REQUEST_FLAG.AHEAD) !== 0) this.#chunks.next()
        return
      }
      case EVENT.REFUSED: {
        this.#at = at + REFUSED_BYTES
        const packet = this.#chunks.next()
        const connection = this.#connections[id & SLOT_MASK]
        const kind = text.charCodeAt(at + REFUSED_KIND_AT)
        connection?.handler.onRefused?.(connection, kind, packet)
        return
      }
      case EVENT.FAULT:
        return this.#onFault(this.#takeText(at), id)
      default:
        this.#at = at + EVENT_BYTES
        return this.#onIdle()
    }
  }

  #handleRequest(id: number, at: number): void {
    const text = this.#text
    this.#at = endOf(text, at)
    const flags = flagsOf(text, at)
    const body = hasWholeBody(flags) ? this.#chunks.next() : undefined
    const ahead = (flags & REQUEST_FLAG.AHEAD) !== 0 ? this.#chunks.next() : undefined
    const reported = this.#connections[u32(text, at + REQUEST_CONNECTION_AT) & SLOT_MASK]
    if (reported === undefined) return
    const connection = reported.isMultiplexed ? this.#openStream(reported, id) : reported
    const exchange = new NativeExchange(this.#link, connection, id, text, at, body)
    if ((flags & REQUEST_FLAG.CLIENT_INFO) !== 0 || connection.isForwarded) {
      connection.showClientOf(exchange)
    }
    this.#register(exchange)
    current = exchange
    if (body !== undefined) this.#withWholeBody = exchange
    const handler = connection.handler
    const scope = handler.scope ?? rootScope
    if ((flags & (REQUEST_FLAG.UPGRADE | REQUEST_FLAG.EXPECTS)) === 0) {
      scope.runRequest(callHandler, exchange)
      return
    }
    exchange.ahead = ahead
    if (!handler.decidesUpgrades && !applyDefaultExpectation(exchange)) return
    scope.runRequest(callHandler, exchange)
    exchange.declineUpgrade()
  }

  #register(exchange: NativeExchange): void {
    const { live } = this.#link
    const slot = exchange.id & SLOT_MASK
    const before = live[slot]
    if (before?.isFull === true) this.#displaced.set(before.id, before)
    live[slot] = exchange
  }

  #handleConnection(id: number, at: number): void {
    const text = this.#text
    const remoteLength = text.charCodeAt(at + CONNECTION_REMOTE_LENGTH_AT)
    const localLength = text.charCodeAt(at + CONNECTION_LOCAL_LENGTH_AT)
    const end = at + CONNECTION_TEXTS_AT + remoteLength + localLength
    const usesTls = (text.charCodeAt(at + CONNECTION_KIND_AT) & CONNECTION_KIND.TLS) !== 0
    this.#at = usesTls ? end + tlsInfoLength(text, end) : end
    const handler = this.#handlers.get(u32(text, at + CONNECTION_SERVER_AT))
    // The server has been forgotten: its requests would never get a response.
    if (handler === undefined) {
      return this.#ring.writeCommand(RING_RECORD.ABORT, id, RING_FLAG.SEND_RESET)
    }
    const connection = new NativeConnection(this.#ring, handler, id, { text, at })
    this.#connections[id & SLOT_MASK] = connection
    if (!connection.isMultiplexed) announce(connection)
  }

  /** Opens the HTTP/2 stream of a request. For the application a stream is a connection. */
  #openStream(connection: NativeConnection, id: number): NativeConnection {
    const stream = connection.createStream(id)
    this.#streams[id & SLOT_MASK] = stream
    // In no scope of its own, which each request would cost: the request has one.
    stream.handler.onConnection?.(stream)
    return stream
  }

  /** Takes the text of an END or FAULT event. */
  #takeText(at: number): string {
    const end = at + TEXT_AT + u16(this.#text, at + TEXT_LENGTH_AT)
    this.#at = end
    return this.#text.slice(at + TEXT_AT, end)
  }

  /** Reports what has been sent, also to an exchange whose slot the engine has given to another. */
  #handleDrained(id: number): void {
    const displaced = this.#displaced.get(id)
    if (displaced === undefined) return this.#findCurrent(id)?.drained()
    this.#displaced.delete(id)
    displaced.drainedCompletely()
  }

  #handleAborted(id: number): void {
    const exchange = this.#findCurrent(id)
    if (exchange === undefined) return
    this.#link.live[id & SLOT_MASK] = undefined
    runForClient(exchange, () => exchange.abort())
  }

  /**
   * Finds an exchange and makes it current: an error of a listener that it calls belongs to it.
   */
  #findCurrent(id: number): NativeExchange | NativeTunnel | undefined {
    const exchange = this.#find(id)
    if (exchange !== undefined) current = exchange
    return exchange
  }

  #find(id: number): NativeExchange | NativeTunnel | undefined {
    const exchange = this.#link.live[id & SLOT_MASK]
    return exchange?.id === id ? exchange : undefined
  }
}

/** Calls the handler in the async context of the exchange. */
function callHandler(exchange: NativeExchange): void {
  enterClient(exchange)
  exchange.connection.handler.onExchange(exchange)
}

/** Reports a new connection in the async context of its server. */
function announce(connection: NativeConnection): void {
  const { scope = rootScope, onConnection } = connection.handler
  if (onConnection !== undefined) scope.run(callOnConnection, connection)
}

function callOnConnection(connection: NativeConnection): void {
  connection.handler.onConnection?.(connection)
}

function hasWholeBody(flags: number): boolean {
  return ((flags >> BODY_KIND_SHIFT) & BODY_KIND_MASK) === BODY_KIND.WHOLE
}

/** Parses `Name: value` lines into names and values in turn. */
function parseTrailers(lines: string): string[] {
  if (lines === '') return []
  return lines
    .slice(0, -2)
    .split('\r\n')
    .flatMap((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
}
