/** Every way in which an `http.Server` comes to listen, on the engine of this environment. */
import http from 'node:http'
import { getDefaultHighWaterMark } from 'node:stream'
import { IoThread } from '../engine/native/io-thread.ts'
import { REGISTER_SETTINGS } from '../engine/settings.ts'
import type { ServerHandle, ServerInternals } from '../http/node/internals.ts'
import { createServerHandle, serverInternals, setupListenHandle } from '../http/node/internals.ts'
import { canServe, serveHandle } from '../http/node/own-listener.ts'

/** From now on the servers that begin to listen are the engine's. */
export function listenOnEngine(): void {
  const prototype = serverInternals(http.Server.prototype as unknown as http.Server)
  const listen2: ServerInternals['_listen2'] = function listen2(...call) {
    const [address, port, addressType, backlog, fd, flags] = canServe(this)
      ? giveHandle(this, call)
      : call
    // With a handle node does not bind; all else that listening means is node's own code.
    setupListenHandle.call(this, address, port, addressType, backlog, fd, flags)
  }
  Object.defineProperty(prototype, '_listen2', {
    value: listen2,
    writable: true,
    configurable: true,
  })
}

type ListenCall = Parameters<ServerInternals['_listen2']>

/**
 * Binds as node would, and puts the result on the engine. What fails is left to node, who then
 * reports it.
 */
function giveHandle(server: http.Server, call: ListenCall): ListenCall {
  const internals = serverInternals(server)
  if (internals._handle !== null) {
    // A handle that the program brought, or one of node:cluster's, which has no descriptor.
    serveHandle(server, internals._handle, ioThread())
    return call
  }
  const [address, port, , backlog, fd, flags] = call
  const isAny = !address && typeof fd !== 'number'
  const tries: ListenCall[] = isAny
    ? [
        ['::', port, 6, backlog, fd, flags],
        ['0.0.0.0', port, 4, backlog, fd, flags],
      ]
    : [call]
  for (const each of tries) {
    const handle = createServerHandle({ address: each[0], port, addressType: each[2], fd, flags })
    if (typeof handle === 'number') continue
    if (!serveHandle(server, handle, ioThread())) {
      closeUnused(handle)
      return call
    }
    internals._handle = handle
    return each
  }
  return call
}

function closeUnused(handle: ServerHandle): void {
  handle.close()
}

let thread: IoThread | undefined

/**
 * The environment's I/O thread starts with the first server that listens, and ends with the
 * environment.
 */
function ioThread(): IoThread {
  if (thread !== undefined) return thread
  thread = new IoThread({
    // As on node, a longer write returns false.
    settings: { ...REGISTER_SETTINGS, response_buffer_size: getDefaultHighWaterMark(false) },
    options: { announcesAtAccept: true },
    onIdle: () => {},
    onFault: (text) => process.stderr.write(`monoceros/register: ${text}\n`),
  })
  thread.letGo()
  return thread
}
