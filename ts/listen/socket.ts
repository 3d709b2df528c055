/**
 * Listening sockets of the arbiter. It binds them once, keeps them open and passes them to the
 * workers as descriptors. The addon binds and listens. Without it Node's own handle binds (as in
 * node:cluster), and the first worker makes it listen.
 */

import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { isIPv6, SocketAddress } from 'node:net'
import { resolve } from 'node:path'

import { monocerosError, systemError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { native } from '../native/index.ts'
import { errorCode, type System } from '../process/system.ts'
import { changeOwner, type FileOwner } from '../process/user.ts'
import {
  type Address,
  ANY_HOST,
  formatAddress,
  formatHostPort,
  parseAddress,
  type TcpAddress,
  type UnixAddress,
} from './address.ts'
import { type BoundSocket, createNativeBinder } from './bind-native.ts'
import { nodeBinder } from './bind-node.ts'
import { bindWithUmask, isListening } from './unix-socket.ts'

/** An open listening socket. */
export interface Listener {
  /** Text of the setting `bind`. */
  readonly bind: string
  readonly fd: number
  /** Address as the log shows it, with the actual port. */
  readonly address: string
  /** Port of a TCP socket; undefined for others. */
  readonly port: number | undefined
  /** File of a unix socket that is removed with it; undefined for others. */
  readonly socketFile: string | undefined
  /**
   * Applies the settings of a reload to a socket that stays open: backlog, and mode and owner of a
   * socket file. A value that the reload does not change stays, because the operator may have
   * changed the file.
   */
  applyOptions(options: ListenOptions, before: ListenOptions): void
  /**
   * Closes this process's descriptor. `unlink` also removes the file of a unix socket, if it still
   * belongs to this socket.
   */
  close(how: { unlink: boolean }): void
}

/** Settings that apply to every listening socket. */
export interface ListenOptions {
  readonly backlog: number
  readonly reusePort: boolean
  /** Directory to which the path of a unix socket is relative. */
  readonly chdir: string
  /** umask for the file of a unix socket: its mode is 0777 without these bits. */
  readonly umask: number
  /** Owner of the file of a unix socket; undefined does not change it. */
  readonly owner: FileOwner | undefined
}

/** Functions that create sockets: `bind-native.ts` with the addon, `bind-node.ts` without. */
export interface SocketBinder {
  bindTcp(address: TcpAddress, options: ListenOptions): BoundSocket
  bindUnix(path: string, options: ListenOptions): BoundSocket
  adopt(fd: number, options: ListenOptions): BoundSocket
  /** Changes the backlog of an open socket. */
  relisten(fd: number, options: ListenOptions): void
}

const BIND_TRIES = 5
const BIND_RETRY_MS = 1_000

/**
 * Finds the listener that is already open at an address, however it is written: `:80` equals
 * `0.0.0.0:80`, and a relative path is resolved against `chdir`.
 */
export async function findListener(
  listeners: readonly Listener[],
  bind: string,
  options: ListenOptions,
): Promise<Listener | undefined> {
  const address = parseAddress(bind)
  if (address.kind === 'unix' && !address.path.startsWith('\0')) {
    const path = resolve(options.chdir, address.path)
    return listeners.find((listener) => listener.socketFile === path)
  }
  const named = listeners.find((listener) => listener.bind === bind)
  if (named !== undefined || address.kind !== 'tcp') return named
  const samePort = listeners.filter(({ port }) => port === address.port)
  if (samePort.length === 0) return undefined
  // The error of an unknown name is reported when the address is opened.
  const host = await resolveHost(address.host).catch(() => address.host)
  const real = formatAddress({ kind: 'tcp', host, port: address.port })
  return samePort.find((listener) => listener.address === real)
}

/**
 * Opens an address. An address in use is tried five times, one second apart, unless this server
 * itself uses it.
 */
export async function openListener(
  {
    system,
    log,
    ownListeners = [],
  }: { system: System; log: Logger; ownListeners?: readonly Listener[] },
  bind: string,
  options: ListenOptions,
): Promise<Listener> {
  const address = parseAddress(bind)
  if (address.kind === 'invalid') throw monocerosError('ERR_BIND', bind, address.reason)
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryOpenListener(bind, address, options)
    } catch (error) {
      if (errorCode(error) !== 'EADDRINUSE') throw explainBindError(address, error)
      const own = ownListeners.find((listener) => overlaps(listener, address))
      if (own !== undefined) {
        const reason =
          `this server already listens at ${own.address}, and a reload cannot open both; ` +
          'restart the server'
        throw monocerosError('ERR_BIND', displayName(address), reason)
      }
      logLine(log, 'addressInUse', displayName(address))
      if (attempt === BIND_TRIES) throw monocerosError('ERR_ADDRESS_IN_USE', displayName(address))
      logLine(log, 'retryingBind')
      await system.sleep(BIND_RETRY_MS)
    }
  }
}

// One address is the port on all addresses of the machine, and the other is the port on one of
// them. `::` also covers IPv4.
function overlaps(listener: Listener, address: Address): boolean {
  if (address.kind !== 'tcp' || listener.port !== address.port) return false
  const open = parseAddress(listener.address)
  const hosts = [address.host, open.kind === 'tcp' ? open.host : '']
  return hosts.includes('::') || (hosts.includes(ANY_HOST) && !hosts.some(isIPv6))
}

async function tryOpenListener(
  bind: string,
  address: Address,
  options: ListenOptions,
): Promise<Listener> {
  if (address.kind === 'fd') return createListener(bind, selectBinder().adopt(address.fd, options))
  if (address.kind === 'unix') return openUnixListener(bind, address, options)
  const host = await resolveHost(address.host)
  return createListener(bind, selectBinder().bindTcp({ ...address, host }, options))
}

function selectBinder(): SocketBinder {
  return native === null ? nodeBinder : createNativeBinder(native)
}

/** Resolves a host to an address. IPv4 is preferred, because Gunicorn opens names on IPv4. */
export async function resolveHost(host: string): Promise<string> {
  // `SocketAddress` drops a zone, without which a link-local address cannot be bound (RFC 4007).
  if (isIPv6(host) && !host.includes('%')) {
    return new SocketAddress({ address: host, family: 'ipv6' }).address
  }
  if (/^[\d.]+$/.test(host) || host.includes(':')) return host
  // Loaded only if there is a name to look up.
  const { lookup } = process.getBuiltinModule('node:dns/promises')
  const addresses = await lookup(host, { all: true })
  return (addresses.find(({ family }) => family === 4) ?? addresses[0])?.address ?? host
}

async function openUnixListener(
  bind: string,
  address: UnixAddress,
  options: ListenOptions,
): Promise<Listener> {
  if (address.path.startsWith('\0'))
    return createListener(bind, selectBinder().bindUnix(address.path, options))
  const path = resolve(options.chdir, address.path)
  await removeStaleSocketFile(path)
  const bound = bindWithUmask(options.umask, () => selectBinder().bindUnix(path, options))
  if (options.owner !== undefined) changeOwner(path, options.owner)
  return createFileListener(bind, bound, path)
}

/** Adopts a socket that another process has opened and passed to this one. */
export function adoptListener(
  { bind, fd, path }: { bind: string; fd: number; path?: string },
  options: ListenOptions,
): Listener {
  let bound: BoundSocket
  try {
    bound = selectBinder().adopt(fd, options)
  } catch (error) {
    throw explainBindError({ kind: 'fd', fd }, error)
  }
  return path === undefined ? createListener(bind, bound) : createFileListener(bind, bound, path)
}

function createFileListener(bind: string, bound: BoundSocket, socketFile: string): Listener {
  const ino = lstatSync(socketFile, { throwIfNoEntry: false })?.ino
  // Another process may have put its own socket file there, which is left alone.
  const isOurs = () =>
    ino !== undefined && lstatSync(socketFile, { throwIfNoEntry: false })?.ino === ino
  const opened = createListener(bind, bound)
  return {
    ...opened,
    address: formatAddress({ kind: 'unix', path: socketFile }),
    socketFile,
    applyOptions(options, before) {
      opened.applyOptions(options, before)
      if (!isOurs()) return
      const { umask, owner } = options
      if (umask !== before.umask) chmodSync(socketFile, 0o777 & ~umask)
      const isNew = owner?.uid !== before.owner?.uid || owner?.gid !== before.owner?.gid
      if (owner !== undefined && isNew) changeOwner(socketFile, owner)
    },
    close({ unlink }) {
      if (unlink && isOurs()) unlinkSync(socketFile)
      opened.close({ unlink })
    },
  }
}

// A socket file outlives a killed process. It is removed only if no process accepts connections on
// it.
async function removeStaleSocketFile(path: string): Promise<void> {
  const entry = lstatSync(path, { throwIfNoEntry: false })
  if (entry === undefined) return
  if (!entry.isSocket())
    throw monocerosError('ERR_BIND', `unix:${path}`, 'the file is not a socket')
  if (await isListening(path, ['EAGAIN'])) throw systemError('EADDRINUSE', path)
  unlinkSync(path)
}

function createListener(bind: string, { fd, address, close }: BoundSocket): Listener {
  return {
    bind,
    fd,
    address: formatAddress(address),
    port: address.kind === 'tcp' ? address.port : undefined,
    socketFile: undefined,
    applyOptions: (options) => selectBinder().relisten(fd, options),
    close: () => close(),
  }
}

/**
 * Turns an error of the system into ERR_BIND with an explanation. Other errors are returned as they
 * are.
 */
export function explainBindError(address: Address, error: unknown): unknown {
  const code = errorCode(error)
  if (code === undefined || code.startsWith('ERR_')) return error
  return monocerosError(
    'ERR_BIND',
    displayName(address),
    ERROR_EXPLANATIONS[code] ?? code,
  ).withCause(error)
}

const ERROR_EXPLANATIONS: Record<string, string | undefined> = {
  EACCES: 'permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'no interface of this machine has the address',
  EBADF: 'the descriptor is not open; the process that starts this one must pass it on',
  EINVAL: 'the descriptor is not a listening socket',
  ENOENT: 'the directory does not exist',
  ENOTFOUND: 'the host name has no address',
  ENOTSOCK: 'the descriptor is not a socket',
  EAFNOSUPPORT: 'the system has no such address family',
}

function displayName(address: Address): string {
  return address.kind === 'tcp' ? formatHostPort(address) : formatAddress(address)
}
