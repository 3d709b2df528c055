/** Listening sockets created by the addon: bound, listening and close-on-exec, as descriptors. */

import type { Native } from '../native/index.ts'
import type { Address } from './address.ts'
import type { SocketBinder } from './socket.ts'

/** A listening socket and the address that it is bound to. */
export interface BoundSocket {
  readonly fd: number
  readonly address: Address
  close(): void
}

/** Returns a binder that creates sockets with the addon. */
export function createNativeBinder(native: Native): SocketBinder {
  const socket = (fd: number): BoundSocket => ({
    fd,
    address: localAddressOf(native, fd),
    close: () => native.closeFd(fd),
  })
  return {
    bindTcp: ({ host, port }, { backlog, reusePort }) =>
      socket(native.bindTcp(host, port, backlog, reusePort, host.includes(':') && host !== '::')),
    bindUnix: (path, { backlog }) => socket(native.bindUnix(path, backlog)),
    adopt(fd, { backlog }) {
      native.adoptListener(fd, backlog)
      return socket(fd)
    },
    // The returned descriptor is a second one of the same socket, and is not needed.
    relisten: (fd, { backlog }) => native.closeFd(native.listenOn(fd, backlog)),
  }
}

function localAddressOf(native: Native, fd: number): Address {
  const { family, address, port, path } = native.localAddress(fd)
  if (family === 'unix') return { kind: 'unix', path: path ?? '' }
  return { kind: 'tcp', host: address ?? '', port: port ?? 0 }
}
