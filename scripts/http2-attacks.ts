// Attacks of HTTP/2 clients that try to cost the server memory or time (scripts/http2-floods.ts).

import type { Socket } from 'node:net'

export interface Attack {
  /** Number of connections that attack at the same time. */
  readonly connections: number
  /** When the server must have closed the first connection, in seconds. Default: within the run. */
  readonly closedAfterSeconds?: number
  /** Starts the attack on a connection. The caller then calls `onTick` ten times a second. */
  flood(socket: Socket): { readonly onTick?: () => void }
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const [DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION] = [0, 1, 3, 4, 6, 8, 9]
const [END_STREAM, END_HEADERS] = [1, 4]
/** Streams that the server allows on a connection. */
const MAX_STREAMS = 100
/** Number of bytes that are written to the socket at a time. */
const CHUNK_BYTES = 65_536
/** `write_timeout` (60 s) with a tolerance of 15 seconds. */
const STALL_SECONDS = 75

/** Encodes a frame (RFC 9113 section 4.1). */
function frame(kind = 0, flags = 0, stream = 0, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload)
  const head = Buffer.alloc(9)
  head.writeUIntBE(bytes.length, 0, 3)
  head[3] = kind
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, bytes])
}

/** Encodes a request head with the static table and literals without indexing (RFC 7541). */
function block(path: string, method: 'GET' | 'POST' = 'GET'): Buffer {
  const first = Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x86, 0x04, path.length])
  return Buffer.concat([first, Buffer.from(path), Buffer.from([0x01, 1, 0x78])])
}

function sendPreface(socket: Socket, settings: Uint8Array = Buffer.alloc(0)): void {
  socket.write(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, settings)]))
}

/** Sends the buffers that `next` returns, as fast as the server reads them. */
function sendEndlessly(socket: Socket, next: () => Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(next()));
  }
  socket.on('drain', more)
  socket.on('connect', more)
  socket.resume()
}

/** Sends the same bytes repeatedly, after what `start` sends. */
function repeat(start: (socket: Socket) => void, bytes: Buffer): Attack['flood'] {
  const chunk = Buffer.concat(Array(Math.ceil(CHUNK_BYTES / bytes.length)).fill(bytes))
  return (socket) => {
    start(socket)
    sendEndlessly(socket, () => chunk)
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

/**
 * Requests as many responses as a connection may have in flight, and reads none of them. With
 * `reads`, the client reads the socket but opens no flow-control window. Otherwise it opens all
 * windows and reads nothing.
 */
function stall(path: string, reads = true): Attack {
  return {
    connections: 10,
    closedAfterSeconds: STALL_SECONDS,
    flood(socket) {
      sendPreface(socket, reads ? Buffer.alloc(0) : initialWindow(0x7fff_ffff))
      if (!reads) {
        const increment = Buffer.alloc(4)
        increment.writeUInt32BE(0x7fff_0000)
        socket.write(frame(WINDOW_UPDATE, 0, 0, increment))
      }
      for (let count = 0; count < MAX_STREAMS; count += 1) {
        socket.write(frame(HEADERS, END_STREAM | END_HEADERS, count * 2 + 1, block(path)))
      }
      if (reads) {
        socket.resume()
        return {}
      }
      // A client that does not read notices a closed connection only when it writes.
      const onTick = () => void socket.write(frame(PING, 1, 0, Buffer.alloc(8)))
      socket.on('connect', () => socket.pause())
      return { onTick }
    },
  }
}

/** Encodes a head that adds one large field to the dynamic table and refers to it repeatedly. */
function bomb(): Buffer {
  const repetitions = Buffer.concat([
    Buffer.from([0x40, 1, 0x78, 0x7f, 0x80 + 0x01, 0x1e]),
    Buffer.alloc(3_968, 'a'),
  ])
  return Buffer.concat([block('/'), repetitions, Buffer.alloc(12_000, 0xbe)])
}

/** Opens new streams endlessly, with the frames that `make` returns for each. */
function openStreams(make: (stream: number) => Buffer): Attack['flood'] {
  return (socket) => {
    sendPreface(socket)
    let stream = -1
    sendEndlessly(socket, () => {
      const frames: Buffer[] = []
      for (let size = 0; size < CHUNK_BYTES; ) {
        stream += 2
        const bytes = make(stream)
        frames.push(bytes)
        size += bytes.length
      }
      return Buffer.concat(frames)
    })
    return {}
  }
}

export const ATTACKS: Readonly<Record<string, Attack>> = {
  'rapid-reset': flood(
    openStreams((stream) =>
      Buffer.concat([
        frame(HEADERS, END_STREAM | END_HEADERS, stream, block('/')),
        frame(RESET, 0, stream, Buffer.from([0, 0, 0, 8])),
      ]),
    ),
  ),
  continuation: flood(
    repeat(
      (socket) => {
        sendPreface(socket)
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
  settings: flood(repeat((socket) => sendPreface(socket), frame(SETTINGS))),
  ping: flood(repeat((socket) => sendPreface(socket), frame(PING, 0, 0, Buffer.alloc(8)))),
  'empty-data': flood(
    repeat(
      (socket) => {
        sendPreface(socket)
        socket.write(frame(HEADERS, END_HEADERS, 1, block('/', 'POST')))
      },
      frame(DATA, 0, 1),
    ),
  ),
  'hpack-bomb': flood(
    openStreams((stream) => frame(HEADERS, END_STREAM | END_HEADERS, stream, bomb())),
  ),
  'stall-shared': stall('/shared'),
  'stall-fresh': stall('/fresh'),
  'stall-later': stall('/later'),
  'stall-unread': stall('/fresh', false),
}
