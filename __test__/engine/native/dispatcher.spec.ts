import test from 'ava'
import type { Exchange, ExchangeHandler, ExchangeOwner } from '../../../ts/engine/exchange.ts'
import { currentExchange, Dispatcher } from '../../../ts/engine/native/dispatcher.ts'
import { Ring } from '../../../ts/engine/native/ring.ts'
import { IN, OUT, RECORD_BYTES, REQUEST, RING_DATA, WORD } from '../../../ts/engine/native/wire.ts'
import type { NativeEngine } from '../../../ts/native/index.ts'

const CONNECTION = 3
const TAG = 7
const PLACES = 1 << 20

/** A crossing whose engine is a list of batches. */
function staged(handler: ExchangeHandler) {
  const ring = new Ring()
  const words = new Int32Array(ring.memory.buffer)
  words[WORD.WINDOW] = 65_536
  const batches: string[] = []
  const engine = {
    wake: () => {},
    take: () => batches.shift() ?? null,
    large: () => {},
    lend: () => false,
  } as unknown as NativeEngine
  ring.attach(engine)
  const handlers = new Map([[TAG, handler]])
  const dispatcher = new Dispatcher(ring, engine, handlers, () => {}, assertNever)
  return {
    take(...records: string[]): void {
      batches.push(records.join(''))
      dispatcher.run()
    },
    /** Kinds and ids of the records that JavaScript has written. */
    written(): [kind: number, id: number][] {
      const tail = words[WORD.TAIL] ?? 0
      const found: [number, number][] = []
      for (let at = RING_DATA; at < RING_DATA + tail; ) {
        const word = at >> 2
        const kind = (words[word] ?? 0) & 255
        found.push([kind, words[word + 1] ?? 0])
        at += RECORD_BYTES + (kind === OUT.DATA ? ((words[word + 2] ?? 0) + 3) & ~3 : 0)
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
const connectionTo = (tag: number): string =>
  record(IN.CONNECTION, CONNECTION, `${u32(tag)}\0${u16(0)}${u16(0)}\0\0`)
const connection = connectionTo(TAG)
/** Set in a request's flags where its body is still to come. */
const BODY_COMES = 2 << REQUEST.BODY_SHIFT
/** A GET of `/`, without fields. */
function request(id: number, flags = 3): string {
  const text = `${u32(CONNECTION)}${String.fromCharCode(flags)}\u0001${u16(1)}${u16(0)}/`
  return record(IN.REQUEST, id, u32(text.length) + text)
}

function listener(heard: string[], name: string): ExchangeOwner {
  const note = (what: string) => () => heard.push(`${name} ${what}`)
  return {
    onData: note('data'),
    onEnd: note('end'),
    onDrain: note('drain'),
    onAborted: note('aborted'),
  }
}

test('who has asked is answered, also when another has its place by then', (t) => {
  const heard: string[] = []
  const taken: Exchange[] = []
  const stage = staged({
    onExchange(exchange) {
      exchange.owner = listener(heard, taken.length === 0 ? 'first' : 'second')
      taken.push(exchange)
      if (taken.length > 1) return
      exchange.head(200, undefined, '', 0)
      while (exchange.write(Buffer.alloc(10_000)));
      exchange.end()
    },
  })
  const [first, second] = [5, 5 + PLACES]
  stage.take(connection, request(first))
  t.true(taken[0]?.isFull)
  t.true(stage.written().some(([kind, id]) => kind === OUT.NOTIFY && id === first))

  // The engine has sent it all and let go of it before it reads the question.
  stage.take(request(second), record(IN.DRAINED, first))
  t.deepEqual(heard, ['first drain'])
  t.false(taken[0]?.isFull)
  stage.take(record(IN.DRAINED, first), record(IN.ABORTED, second))
  t.deepEqual(heard, ['first drain', 'second aborted'])
})

test('a connection that has been taken over is told so too', (t) => {
  const heard: string[] = []
  const taken: Exchange[] = []
  const stage = staged({
    onExchange(exchange) {
      taken.push(exchange)
      if (taken.length > 1) return
      const tunnel = exchange.tunnel()
      tunnel.owner = listener(heard, 'tunnel')
      tunnel.write('later', 'utf8')
      t.false(tunnel.end())
    },
  })
  stage.take(connection, request(5))
  stage.take(record(IN.END, 5, u16(0)), request(5 + PLACES), record(IN.DRAINED, 5))
  t.deepEqual(heard, ['tunnel end', 'tunnel drain'])
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
  stage.take(connection, request(5, 3 | BODY_COMES))
  t.is(currentExchange(), undefined)
  t.throws(() => stage.take(record(IN.END, 5, u16(0))), { message: 'thrown' })
  t.is(currentExchange(), taken)
})

test('a connection of a server that has been forgotten is reset', (t) => {
  const stage = staged({ onExchange: () => t.fail() })
  stage.take(connectionTo(TAG + 1), request(5))
  t.deepEqual(stage.written(), [[OUT.DESTROY, CONNECTION]])
})
