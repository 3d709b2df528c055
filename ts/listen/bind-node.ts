/**
 * Listening sockets without the addon. `net._createServerHandle`, which node:cluster uses too,
 * binds without accepting; a listening net.Server would take connections away from the workers. The
 * first worker's listen() makes the socket listen.
 */

import { renameSync } from 'node:fs'
import net from 'node:net'
import { dirname, join } from 'node:path'
import { getSystemErrorName } from 'node:util'

import { systemError } from '../errors.ts'
import type { Address } from './address.ts'
import type { BoundSocket } from './bind-native.ts'
import type { SocketBinder } from './socket.ts'

/** The parts of Node's TCP and Pipe handles that this module uses. */
interface NodeHandle {
  readonly fd: number
  close(): void
  getsockname?(out: { address?: string; port?: number; family?: string }): number
}

type CreateServerHandle = (
  address: string | null,
  port: number,
  addressType: number,
  fd?: number,
) => NodeHandle | number

const createServerHandle: CreateServerHandle = Reflect.get(net, '_createServerHandle')

/** Creates sockets with Node's own functions. */
export const nodeBinder: SocketBinder = {
  bindTcp: ({ host, port }) =>
    tcpSocket(checkHandle(createServerHandle(host, port, host.includes(':') ? 6 : 4))),
  bindUnix: (path) => socket(unixHandle(path), { kind: 'unix', path }),
  adopt(fd) {
    const handle = checkHandle(createServerHandle(null, 0, -1, fd))
    return handle.getsockname === undefined ? socket(handle, { kind: 'fd', fd }) : tcpSocket(handle)
  },
  // The listen() of each new worker sets the backlog.
  relisten() {},
}

/**
 * Binds a unix socket beside its name and moves the file there. A handle removes the file that it
 * was bound to when it is closed, at the latest when its process exits. The arbiter that an upgrade
 * has started would lose its socket file that way.
 */
function unixHandle(path: string): NodeHandle {
  if (path.startsWith('\0')) return checkHandle(createServerHandle(path, -1, -1))
  const beside = join(dirname(path), `.${process.pid}`)
  const handle = checkHandle(createServerHandle(beside, -1, -1))
  renameSync(beside, path)
  return handle
}

function tcpSocket(handle: NodeHandle): BoundSocket {
  const out: { address?: string; port?: number } = {}
  // libuv delays the error of a failed bind; asking for the name returns it.
  const status = handle.getsockname?.(out) ?? 0
  if (status !== 0) {
    handle.close()
    throw systemError(getSystemErrorName(status), 'bind')
  }
  return socket(handle, { kind: 'tcp', host: out.address ?? '', port: out.port ?? 0 })
}

function socket(handle: NodeHandle, address: Address): BoundSocket {
  return { fd: handle.fd, address, close: () => handle.close() }
}

function checkHandle(handle: NodeHandle | number): NodeHandle {
  if (typeof handle === 'number') throw systemError(getSystemErrorName(handle), 'bind')
  return handle
}
