/**
 * Where lines leave over a socket: syslog and statsd. With the addon a message is sent before `send` returns, so that the
 * last ones before an exit arrive; without it that holds for datagrams to an address in numbers. A collector that is away
 * costs lines and no more.
 */

import type { SocketOptions } from 'node:dgram'
import { connect, isIP, type Socket } from 'node:net'

import { monocerosError } from '../errors.ts'
import { native } from '../native/index.ts'

export interface LogSocket {
  /** Messages are lines of a stream, and may hold no line feed. */
  readonly isStream: boolean
  send(message: string): void
  close(): void
}

/** Opens `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram` or `unix://PATH#stream`. */
export function openLogSocket(setting: string, address: string): LogSocket {
  if (native === null) return openNodeLogSocket(address)
  try {
    const outlet = new native.LogSocket(address)
    return {
      get isStream() {
        return outlet.isStream
      },
      send: (message) => outlet.send(message),
      close: () => outlet.close(),
    }
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_ADDRESS', setting, address, problem).withCause(cause)
  }
}

/** What a stream that nobody takes may hold. */
const MAX_WAITING_BYTES = 1024 * 1024

/** An outlet without the addon. Node knows no datagrams of unix sockets: there a stream is tried. */
export function openNodeLogSocket(address: string): LogSocket {
  const { protocol, host, port, path } = parseLogAddress(address)
  if (protocol === 'udp') {
    // Loaded only where it is used: it is not small.
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
    // Tried again with the next message.
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

/** Node's own calls back a turn later for numbers too, which is too late for what is sent before an exit. */
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
