/**
 * Bind addresses: parses the setting `bind` and its values on the command line. It accepts every
 * form that Gunicorn accepts.
 */

import { isIPv4, isIPv6 } from 'node:net'

/** A TCP address; the host is a name or an IP address. */
export type TcpAddress = {
  readonly kind: 'tcp'
  readonly host: string
  readonly port: number
  /**
   * `https` selects TLS and `http` excludes it. Without a scheme the listener uses TLS if there is
   * a certificate.
   */
  readonly scheme?: 'http' | 'https'
}

/** The path of an abstract socket starts with a NUL byte, as in the kernel (unix(7)). */
export type UnixAddress = { readonly kind: 'unix'; readonly path: string }

/** An inherited descriptor of a listening socket. */
export type FdAddress = { readonly kind: 'fd'; readonly fd: number }

export type Address = TcpAddress | UnixAddress | FdAddress

/**
 * Why a text is not an address: a sentence without a full stop, to be put after the name of the
 * setting.
 */
export type AddressProblem = { readonly kind: 'invalid'; readonly reason: string }

/** Port that is bound if none is given, as in Gunicorn. */
export const DEFAULT_PORT = 8000

/** Host that is bound if none is given, as in Gunicorn. */
export const ANY_HOST = '0.0.0.0'

// sizeof(sun_path) on Linux without the final NUL. macOS has 104.
const MAX_UNIX_PATH_BYTES = 107

const ALLOWED_FORMS =
  'allowed are HOST, HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH, tcp://, http:// or ' +
  'https://HOST:PORT and fd://N'

/**
 * Parses `HOST`, `HOST:PORT`, `[v6]:PORT`, `:PORT`, the empty text, a scheme before these,
 * `unix:PATH`, `unix://PATH`, `unix:@NAME` (abstract), `tcp://...` and `fd://N`.
 */
export function parseAddress(text: string): Address | AddressProblem {
  const trimmed = text.trim()
  if (trimmed.startsWith('unix:')) return parseUnix(trimmed.slice('unix:'.length))
  if (trimmed.startsWith('fd://')) return parseFd(trimmed.slice('fd://'.length))
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1]?.toLowerCase()
  if (scheme === undefined) return parseTcp(trimmed)
  const rest = trimmed.slice(`${scheme}://`.length)
  if (scheme === 'tcp') return parseTcp(rest)
  if (scheme !== 'http' && scheme !== 'https') {
    return invalid(`unknown scheme "${scheme}://"; ${ALLOWED_FORMS}`)
  }
  const address = parseTcp(rest)
  return address.kind === 'tcp' ? { ...address, scheme } : address
}

/** Formats an address as the log and the worker's `server.address()` show it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path.replace(/^\0/, '@')}`
  if (address.kind === 'fd') return `fd://${address.fd}`
  return `${address.scheme ?? 'http'}://${formatHostPort(address)}`
}

/** Formats `host:port`, with brackets around an IPv6 host. */
export function formatHostPort(address: TcpAddress): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}`
}

function parseUnix(rest: string): Address | AddressProblem {
  const path = rest.startsWith('//') ? rest.slice(2) : rest
  if (path === '' || path === '@' || path === '\0') return invalid('a unix socket needs a path')
  if (/^[^@\0].*\0/s.test(path)) return invalid('the path of a file must not contain NUL')
  if (Buffer.byteLength(path) > MAX_UNIX_PATH_BYTES) {
    return invalid(
      `the path has ${Buffer.byteLength(path)} bytes, the system allows ${MAX_UNIX_PATH_BYTES}`,
    )
  }
  return { kind: 'unix', path: path.replace(/^@/, '\0') }
}

function parseFd(rest: string): Address | AddressProblem {
  if (!/^\d{1,9}$/.test(rest)) return invalid(`"fd://${rest}" needs a number after fd://`)
  const fd = Number(rest)
  if (fd < 3) return invalid(`descriptor ${fd} is standard input or output; sockets start at 3`)
  return { kind: 'fd', fd }
}

function parseTcp(text: string): Address | AddressProblem {
  if (text.startsWith('[')) {
    const match = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
    if (match === null) return invalid(`an IPv6 address is written [ADDRESS]:PORT`)
    const host = match[1] ?? ''
    // A zone (fe80::1%eth0) is part of the address.
    if (!isIPv6(host)) return invalid(`"${host}" is not an IPv6 address`)
    return withPort(host.toLowerCase(), match[2])
  }
  // "::1:8000" may be an address, or an address with a port: it is rejected rather than guessed.
  if (text.split(':').length > 2) {
    return invalid('an IPv6 address needs brackets, as in [::1]:8000')
  }
  const [host = '', port] = text.split(':')
  if (host === '') return withPort(ANY_HOST, port)
  if (/^[\d.]+$/.test(host) && !isIPv4(host)) {
    // A bare number is usually meant as a port.
    const hint = /^\d+$/.test(host) ? `; for a port write ":${host}"` : ''
    return invalid(`"${host}" is not an IPv4 address${hint}`)
  }
  if (!/^[a-z0-9._-]+$/i.test(host))
    return invalid(`"${host}" is not a host name; ${ALLOWED_FORMS}`)
  return withPort(host.toLowerCase(), port)
}

function withPort(host: string, text: string | undefined): Address | AddressProblem {
  if (text === undefined) return { kind: 'tcp', host, port: DEFAULT_PORT }
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65535) {
    return invalid(`"${text}" is not a port; allowed are 0 to 65535`)
  }
  return { kind: 'tcp', host, port }
}

function invalid(reason: string): AddressProblem {
  return { kind: 'invalid', reason }
}
