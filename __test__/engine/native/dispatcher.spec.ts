import test from 'ava'
import type { Exchange, ExchangeHandler, ExchangeOwner } from '../../../ts/engine/exchange.ts'
import { currentExchange, Dispatcher } from '../../../ts/engine/native/dispatcher.ts'
import { Ring } from '../../../ts/engine/native/ring.ts'
import {
  BODY_KIND,
  BODY_KIND_SHIFT,
  EVENT,
  METHODS,
  REQUEST_FLAG,
  RING_DATA_AT,
  RING_RECORD,
  RING_RECORD_BYTES,
  RING_WORD,
  SLOT_BITS,
} from '../../../ts/engine/native/wire.ts'
import type { NativeEngine } from '../../../ts/native/index.ts'

const CONNECTION = 3
const SERVER = 7
/** What the next generation of a slot adds to an id. */
const GENERATION = 1 << SLOT_BITS

/** A dispatcher whose engine is a list of batches. */
function staged(handler: ExchangeHandler) {
  const ring = new Ring()
  const words = new Int32Array(ring.memory.buffer)
  words[RING_WORD.RESPONSE_BUFFER] = 65_536
  const batches: string[] = []
  const engine = {
    pushLarge: () => {},
    pushBorrowed: () => false,
  } as unknown as NativeEngine
  ring.attach(engine, () => {})
  const handlers = new Map([[SERVER, handler]])
  const source = { engine, takeEvents: () => batches.shift() }
  const dispatcher = new Dispatcher(ring, source, handlers, () => {}, assertNever)
  return {
    take(...records: string[]): void {
      batches.push(records.join(''))
      dispatcher.run()
    },
    /** Kinds and ids of the records that JavaScript has written. */
    written(): [kind: number, id: number][] {
      const tail = words[RING_WORD.TAIL] ?? 0
      const found: [number, number][] = []
      for (let at = RING_DATA_AT; at < RING_DATA_AT + tail; ) {
        const word = at >> 2
        const kind = (words[word] ?? 0) & 255
        found.push([kind, words[word + 1] ?? 0])
        at +=
          RING_RECORD_BYTES + (kind === RING_RECORD.DATA ? ((words[word + 2] ?? 0) + 3) & ~3 : 0)
      }
      return found
    },
  }
}

function assertNever(text: string): never {
  throw new Error(text)
}

const u16 = (value: number): string => String.fromCharCode(value & 255, value >> 8)
const u32 = (value: number): string => u16(value & 0xffff) + u16(value >>> 16)
const record = (kind: number, id: number, rest = ''): string =>
  String.fromCharCode(kind) + u32(id) + rest
/** Without an address: over a unix socket. */
const connectionTo = (serverId: number): string =>
  record(EVENT.CONNECTION, CONNECTION, `${u32(serverId)}\0${u16(0)}${u16(0)}\0\0`)
const connection = connectionTo(SERVER)
/** Flags of a request whose body follows. */
const STREAMED_BODY = BODY_KIND.STREAMED << BODY_KIND_SHIFT
/** HTTP/1.1, and the client can keep the connection. */
const PLAIN = REQUEST_FLAG.MINOR_VERSION | REQUEST_FLAG.KEEP_ALIVE
/** A GET of `/`, without fields. */
function request(id: number, flags: number = PLAIN): string {
  const codes = String.fromCharCode(flags, METHODS.indexOf('GET'))
  const text = `${u32(CONNECTION)}${codes}${u16(1)}${u16(0)}/`
  return record(EVENT.REQUEST, id, u32(text.length) + text)
}

function listener(events: string[], name: string): ExchangeOwner {
  const note = (what: string) => () => events.push(`${name} ${what}`)
  return {
    onData: note('data'),
    onEnd: note('end'),
    onDrain: note('drain'),
    onAborted: note('aborted'),
  }
}

test('who has asked is answered, also when another has its place by then', (t) => {
  const events: string[] = []
  const taken: Exchange[] = []
  const stage = staged({
    onExchange(exchange) {
      exchange.owner = listener(events, taken.length === 0 ? 'first' : 'second')
      taken.push(exchange)
      if (taken.length > 1) return
      exchange.head(200, undefined, '', 0)
      while (exchange.write(Buffer.alloc(10_000)));
      exchange.end()
    },
  })
  const [first, second] = [5, 5 + GENERATION]
  stage.take(connection, request(first))
  t.true(taken[0]?.isFull)
  t.true(stage.written().some(([kind, id]) => kind === RING_RECORD.NOTIFY && id === first))

  // The engine has sent it all and released it before it reads the request.
  stage.take(request(second), record(EVENT.DRAINED, first))
  t.deepEqual(events, ['first drain'])
  t.false(taken[0]?.isFull)
  stage.take(record(EVENT.DRAINED, first), record(EVENT.ABORTED, second))
  t.deepEqual(events, ['first drain', 'second aborted'])
})

test('a connection that has been taken over is notified too', (t) => {
  const events: string[] = []
  const taken: Exchange[] = []
  const stage = staged({
    onExchange(exchange) {
      taken.push(exchange)
      if (taken.length > 1) return
      const tunnel = exchange.tunnel()
      tunnel.owner = listener(events, 'tunnel')
      tunnel.write('later', 'utf8')
      t.false(tunnel.end())
    },
  })
  stage.take(connection, request(5))
  stage.take(record(EVENT.END, 5, u16(0)), request(5 + GENERATION), record(EVENT.DRAINED, 5))
  t.deepEqual(events, ['tunnel end', 'tunnel drain'])
})

test('a listener of a body throws for its exchange', (t) => {
  let taken: Exchange | undefined
  const stage = staged({
    onExchange(exchange) {
      taken = exchange
      const onEnd = () => assertNever('thrown')
      exchange.owner = { ...listener([], ''), onEnd }
    },
  })
  stage.take(connection, request(5, PLAIN | STREAMED_BODY))
  t.is(currentExchange(), undefined)
  t.throws(() => stage.take(record(EVENT.END, 5, u16(0))), { message: 'thrown' })
  t.is(currentExchange(), taken)
})

test('a connection of a server that has been forgotten is reset', (t) => {
  const stage = staged({ onExchange: () => t.fail() })
  stage.take(connectionTo(SERVER + 1), request(5))
  t.deepEqual(stage.written(), [[RING_RECORD.ABORT, CONNECTION]])
})
