import http from 'node:http'
import test from 'ava'
import type { Connection } from '../../ts/engine/exchange.ts'
import type { ServerSocket } from '../../ts/http/node/server-socket.ts'
import { createSocket, noteAnnounced, onConnectionClosed } from '../../ts/http/node/socket.ts'

interface Made {
  readonly socket: ServerSocket
  /** How often the owner was notified of the socket's end, and the engine was asked for it. */
  readonly ends: { notified: number; requested: number }
}

function made(): Made {
  const ends = { notified: 0, requested: 0 }
  const owner = {
    server: http.createServer(),
    highWaterMark: 65_536,
    onSocketDestroyed: () => void ends.notified++,
    onUnreadEnd: () => {},
    onSocketRef: () => {},
  }
  const wish = () => void ends.requested++
  const connection = { destroy: wish, end: wish } as unknown as Connection
  const socket = createSocket(owner, connection)
  noteAnnounced(socket)
  return { socket, ends }
}

const isStream = (socket: ServerSocket) => Object.hasOwn(socket, '_readableState')

test('an unused socket is no stream yet, and its properties are those of one', (t) => {
  const { socket } = made()
  const { destroyed, readableHighWaterMark, writableHighWaterMark } = socket
  t.false(isStream(socket))
  t.true(socket.readable && socket.writable)
  t.true(isStream(socket))
  t.deepEqual(
    [destroyed, readableHighWaterMark, writableHighWaterMark],
    [socket.destroyed, socket.readableHighWaterMark, socket.writableHighWaterMark],
  )
  t.deepEqual(
    socket
      .eventNames()
      .filter((name) => socket.listenerCount(name) > 0)
      .sort(),
    ['close', 'error', 'timeout'],
  )
})

test('using an object that inherits from a socket makes the socket a stream', (t) => {
  const { socket } = made()
  const seen = Object.create(socket) as ServerSocket
  seen.on('custom', () => {})
  t.is(socket.listenerCount('custom'), 1)
  t.false(Object.hasOwn(seen, '_events'))
})

test('the close of an unused socket is reported once, and the socket reads as closed', (t) => {
  const { socket, ends } = made()
  onConnectionClosed(socket)
  t.true(socket.destroyed)
  t.false(isStream(socket))
  socket.on('close', () => t.fail())
  socket.destroy()
  t.true(socket.destroyed && socket.closed && !socket.writable)
  t.deepEqual(ends, { notified: 1, requested: 0 })
})

test("the close of a connection emits 'close' on its socket", async (t) => {
  const { socket, ends } = made()
  const closed = new Promise((resolve) => socket.once('close', resolve))
  onConnectionClosed(socket)
  t.false(await closed)
  t.deepEqual(ends, { notified: 1, requested: 0 })
})

test('destroying an unused socket closes its connection once', async (t) => {
  const { socket, ends } = made()
  socket.destroy()
  socket.destroy()
  await new Promise((resolve) => socket.once('close', resolve))
  t.deepEqual(ends, { notified: 1, requested: 1 })
})
