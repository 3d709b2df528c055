/**
 * Sockets to syslog and statsd. With the addon a message is sent before `send` returns, so that the
 * last ones before an exit arrive. Without it this holds for datagrams to an IP address. If the
 * collector is unreachable, lines are lost and nothing else happens.
 */

import type { SocketOptions } from 'node:dgram'
import { connect, isIP, type Socket } from 'node:net'

import { monocerosError } from '../errors.ts'
import { native } from '../native/index.ts'

/** An open socket to a collector. */
export interface LogSocket {
  /** True if messages are lines of a stream, which must not contain a line feed. */
  readonly isStream: boolean
  send(message: string): void
  close(): void
}

/**
 * Opens `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram` or
 * `unix://PATH#stream`.
 */
export function openLogSocket(setting: string, address: string): LogSocket {
  if (native === null) return openNodeLogSocket(address)
  try {
    const nativeSocket = new native.LogSocket(address)
    return {
      get isStream() {
        return nativeSocket.isStream
      },
      send: (message) => nativeSocket.send(message),
      close: () => nativeSocket.close(),
    }
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_ADDRESS', setting, address, problem).withCause(cause)
  }
}

/** Maximum size of the data that a stream holds while its peer does not read. */
const MAX_WAITING_BYTES = 1024 * 1024

/**
 * Opens a log socket without the addon. Node does not support unix datagram sockets, so a stream is
 * tried there.
 */
export function openNodeLogSocket(address: string): LogSocket {
  const { protocol, host, port, path } = parseLogAddress(address)
  if (protocol === 'udp') {
    // Loaded on first use, because the module is large.
    const { createSocket } = process.getBuiltinModule('node:dgram')
    const type = host.includes(':') ? 'udp6' : 'udp4'
    const socket = createSocket({ type, lookup: lookupAtOnce }).unref()
    socket.on('error', () => {})
    return {
      isStream: false,
      send: (message) => socket.send(message, port, host, () => {}),
      close: () => void socket.close(),
    }
  }
  let socket: Socket | undefined
  const open = () => {
    const opened = path === undefined ? connect(port, host) : connect(path)
    opened.unref()
    // The next message connects again.
    opened.on('error', () => {})
    opened.on('close', () => {
      if (socket === opened) socket = undefined
    })
    return opened
  }
  return {
    isStream: true,
    send(message) {
      socket ??= open()
      if (socket.writableLength < MAX_WAITING_BYTES) socket.write(`${message}\n`)
    },
    close: () => void socket?.destroy(),
  }
}

/**
 * Node's own lookup calls back a turn later even for IP addresses, which is too late for a message
 * right before an exit.
 */
const lookupAtOnce: NonNullable<SocketOptions['lookup']> = (host, options, callback) => {
  const family = isIP(host)
  if (family === 0) process.getBuiltinModule('node:dns').lookup(host, options, callback)
  else callback(null, host, family)
}

function parseLogAddress(address: string) {
  const [, protocol = '', rest = ''] = /^(\w+):\/\/(.*)$/.exec(address) ?? []
  if (protocol === 'unix') {
    return { protocol, host: '', port: 0, path: rest.replace(/#(?:dgram|stream)$/, '') }
  }
  const [, host = '', port = '0'] = /^(.*):(\d+)$/.exec(rest) ?? []
  return { protocol, host: host.replace(/^\[|\]$/g, ''), port: Number(port), path: undefined }
}
