/**
 * Applies the header fields of trusted proxies to requests, and removes or refuses field names with
 * underscores, for the engine on node:http. The native engine has the same in
 * `crates/engine/src/guard/forwarding.rs`. PROXY protocol and unconventional methods are not
 * supported here, because Node's parser reads the connection first.
 */
import type { IncomingMessage } from 'node:http'
import { isIP, SocketAddress } from 'node:net'
import { applyRootPath, findPathStart } from '../../http/node/root-path.ts'
import { AddressList } from '../../listen/address-list.ts'
import type { ParsePolicy } from '../parse-policy.ts'
import { parseForwarded } from './forwarded.ts'

const BAD_REQUEST = 400
const MISCONFIGURED = 500

/** A node identifier of RFC 7239 section 6. */
interface ForwardedNode {
  readonly address: string
  /** 0 if the proxy reports none. */
  readonly port: number
}

/** What the trusted proxies report about the client; undefined where they report nothing. */
interface ForwardedClient {
  readonly node: ForwardedNode | undefined
  readonly host: string | undefined
  readonly secure: boolean | undefined
}

/** The fields that report the client; the setting `forwarded_headers` selects which one counts. */
const CLIENT_FIELDS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host']

const HOST = /^(?:\[([^\]%]*)\]|(?:[\w\-.~!$&'()*+;=]|%[\da-f]{2})*)(?::(\d{0,5}))?$/i
const FUTURE_ADDRESS = /^v[\da-f]+\.[\w\-.~!$&'()*+;=:]+$/i
const MAX_PORT = 65_535
/** Limit of proxies in a chain, more than any deployment has. */
const MAX_HOPS = 64

/**
 * Whether a text is a host with an optional port: no user, no path, no list (RFC 3986 section
 * 3.2.2).
 */
export function isHost(text: string): boolean {
  const parts = HOST.exec(text)
  if (parts === null || Number(parts[2] ?? 0) > MAX_PORT) return false
  const [, literal] = parts
  return literal === undefined || isIP(literal) === 6 || FUTURE_ADDRESS.test(literal)
}

const NO_CLIENT: ForwardedClient = { node: undefined, host: undefined, secure: undefined }

/** Applies the settings about forwarded headers to each request. */
export class ForwardedHeaders {
  readonly #policy: ParsePolicy
  readonly #trusted: AddressList
  readonly #forwarderHeaders: ReadonlySet<string>
  readonly #schemes: readonly (readonly [string, string])[]
  readonly #prefix: string
  /** Names of the fields that report the client or the scheme, in small letters. */
  readonly #forwardingFields: ReadonlySet<string>
  /** True at the index of each length of those names, for a check without a lookup. */
  readonly #fieldNameLengths: readonly (true | undefined)[]

  constructor(policy: ParsePolicy) {
    this.#policy = policy
    this.#trusted = new AddressList(policy.forwarded_allow_ips)
    this.#forwarderHeaders = new Set(policy.forwarder_headers.map((name) => name.toLowerCase()))
    this.#schemes = policy.secure_scheme_headers.map(([name, https]) => [name.toLowerCase(), https])
    this.#prefix = normalizePrefix(policy.root_path)
    this.#forwardingFields = new Set([...this.#schemes.map(([name]) => name), ...CLIENT_FIELDS])
    const lengths: (true | undefined)[] = []
    for (const name of this.#forwardingFields) lengths[name.length] = true
    this.#fieldNameLengths = lengths
  }

  /** Rewrites the request for the application; returns the status of a refusal, or 0. */
  apply(req: IncomingMessage): number {
    // Most requests have no such field, and the lookup of the peer's address costs a tenth of a
    // request.
    if (!this.#hasForwardingFields(req.rawHeaders)) return this.#applyPrefix(req, this.#prefix)
    const trusted = this.#trusted.trusts(req.socket.remoteAddress)
    if (!this.#applyHeaderMap(req, trusted)) return BAD_REQUEST
    let prefix = this.#prefix
    if (trusted) {
      const client = this.#findClient(req)
      const secure = findAgreement([...this.#forwardedSchemes(req), client?.secure])
      if (client === undefined || secure === 'disagree') return BAD_REQUEST
      replaceSocket(req, client.node, secure === true)
      if (client.host !== undefined) setField(req, 'host', client.host)
      const [forwarded, second] = this.#forwardedPrefixes(req)
      if (forwarded !== undefined) {
        if (second !== undefined || !/^(\/(?!\/)[^?#\\]*)?$/.test(forwarded)) return BAD_REQUEST
        prefix = normalizePrefix(forwarded)
      }
    }
    return this.#applyPrefix(req, prefix)
  }

  /** Whether a field reports the client or has an underscore in its name. */
  #hasForwardingFields(raw: readonly string[]): boolean {
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i] ?? ''
      if (name.includes('_')) return true
      if (
        this.#fieldNameLengths[name.length] === true &&
        this.#forwardingFields.has(name.toLowerCase())
      )
        return true
    }
    return false
  }

  #applyPrefix(req: IncomingMessage, prefix: string): number {
    if (prefix === '') return 0
    const target = req.url ?? ''
    if (target === '*' || req.method === 'CONNECT') return 0
    const path = target.slice(findPathStart(target))
    const next = path.charAt(prefix.length)
    if (!path.startsWith(prefix) || (next !== '' && !'/?#'.includes(next))) return MISCONFIGURED
    applyRootPath(req, prefix)
    return 0
  }

  /**
   * Applies the setting `header_map` to fields with underscores; returns false if the request is
   * refused.
   */
  #applyHeaderMap(req: IncomingMessage, trusted: boolean): boolean {
    const { header_map: headerMap } = this.#policy
    const all = trusted && this.#forwarderHeaders.has('*')
    const dropped = new Set<string>()
    for (let i = 0; i < req.rawHeaders.length; i += 2) {
      const name = (req.rawHeaders[i] ?? '').toLowerCase()
      if (!name.includes('_') || all || (trusted && this.#forwarderHeaders.has(name))) continue
      if (headerMap === 'refuse') return false
      if (headerMap === 'drop') dropped.add(name)
    }
    if (dropped.size > 0) removeFields(req, dropped)
    return true
  }

  *#forwardedSchemes(req: IncomingMessage): Iterable<boolean> {
    for (const [name, https] of this.#schemes) {
      for (const value of valuesOf(req, name)) yield value === https
    }
  }

  #forwardedPrefixes(req: IncomingMessage): string[] {
    const isTaken = this.#forwarderHeaders.has('script_name') || this.#forwarderHeaders.has('*')
    return isTaken ? valuesOf(req, 'script_name') : []
  }

  /**
   * Reads the client from the selected field; undefined if the fields are malformed or contradict
   * each other.
   */
  #findClient(req: IncomingMessage): ForwardedClient | undefined {
    const { forwarded_headers: forwardedHeaders } = this.#policy
    if (forwardedHeaders === 'off') return NO_CLIENT
    const listed = this.#readXForwarded(req)
    const standard = this.#readForwarded(req)
    if (standard === undefined) return undefined
    if (listed.node !== undefined && standard.node !== undefined) {
      if (listed.node.address !== standard.node.address) return undefined
    }
    const bad = [listed, standard].some(({ host }) => host !== undefined && !isHost(host))
    if (bad) return undefined
    return forwardedHeaders === 'forwarded' ? standard : listed
  }

  #readXForwarded(req: IncomingMessage): ForwardedClient {
    const items = itemsOf(req, 'x-forwarded-for')
    let node: ForwardedNode | undefined
    let hops = 0
    for (const item of items.reverse()) {
      const hop = parseNode(item)
      if (hop === undefined) break
      node = hop
      hops++
      if (hops === MAX_HOPS || !this.#trusted.contains(hop.address)) break
    }
    if (node === undefined) return NO_CLIENT
    const hosts = itemsOf(req, 'x-forwarded-host')
    return { node, host: hosts.reverse().slice(0, hops).at(-1), secure: undefined }
  }

  #readForwarded(req: IncomingMessage): ForwardedClient | undefined {
    const elements = valuesOf(req, 'forwarded').flatMap((value) => parseForwarded(value) ?? [null])
    if (elements.length > MAX_HOPS || elements.includes(null)) return undefined
    let client = NO_CLIENT
    for (const element of elements.reverse()) {
      if (element === null) return undefined
      const node = parseNode(element.for ?? '')
      if (node === undefined) break
      const proto = element.proto?.toLowerCase()
      if (proto !== undefined && proto !== 'https' && proto !== 'http') return undefined
      const secure = proto === undefined ? undefined : proto === 'https'
      client = { node, host: element.host, secure }
      if (!this.#trusted.contains(node.address)) break
    }
    return client
  }
}

/** Normalizes a root path: one leading slash, no trailing slash, empty for the root. */
function normalizePrefix(path: string): string {
  const inside = path.replace(/^\/+|\/+$/g, '')
  return inside === '' ? '' : `/${inside}`
}

/** Returns the value that all reports share, undefined if there is none, or `disagree`. */
function findAgreement(reports: Iterable<boolean | undefined>): boolean | undefined | 'disagree' {
  let known: boolean | undefined
  for (const each of reports) {
    if (known !== undefined && each !== undefined && known !== each) return 'disagree'
    known ??= each
  }
  return known
}

const NODE = /^(?:\[(?<literal>[^\]]*)\]|(?<dotted>[^:]*))(?::(?<port>\d+))?$/

/** Parses `192.0.2.1:80`, `[2001:db8::1]:80` and the like; the address becomes canonical. */
function parseNode(text: string): ForwardedNode | undefined {
  if (isIP(text) !== 0) return createNode(text, 0)
  const { literal, dotted = '', port = '0' } = NODE.exec(text)?.groups ?? {}
  const isOne = literal === undefined ? isIP(dotted) === 4 : isIP(literal) === 6
  return isOne && Number(port) <= MAX_PORT ? createNode(literal ?? dotted, Number(port)) : undefined
}

function createNode(text: string, port: number): ForwardedNode | undefined {
  const address = canonicalAddress(text)
  return address === undefined ? undefined : { address, port }
}

// A zone (`%eth0`) is refused: it names an interface of one machine, which does not identify a
// client.
function canonicalAddress(address: string): string | undefined {
  if (isIP(address) === 4) return address
  if (address.includes('%')) return undefined
  return new SocketAddress({ address, family: 'ipv6' }).address
}

function valuesOf(req: IncomingMessage, name: string): string[] {
  const { rawHeaders } = req
  const values: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? '')
  }
  return values
}

/**
 * Returns the list items of all fields of a name; empty ones are ignored (RFC 9110 section
 * 5.6.1.2).
 */
function itemsOf(req: IncomingMessage, name: string): string[] {
  const items = valuesOf(req, name).flatMap((value) => value.split(','))
  return items.map((item) => item.trim()).filter((item) => item !== '')
}

/**
 * Replaces the socket that a request shows by a view with the forwarded client. A view for each
 * request, because Node.js parses pipelined requests of one connection ahead, and each may have
 * another client.
 */
function replaceSocket(
  req: IncomingMessage,
  node: ForwardedNode | undefined,
  secure: boolean,
): void {
  const shown = new Map<PropertyKey, unknown>()
  if (node !== undefined) {
    shown.set('remoteAddress', node.address)
    shown.set('remoteFamily', isIP(node.address) === 4 ? 'IPv4' : 'IPv6')
    shown.set('remotePort', node.port === 0 ? undefined : node.port)
  }
  if (secure) shown.set('encrypted', true)
  if (shown.size === 0) return
  req.socket = new Proxy(req.socket, {
    get: (socket, name) => (shown.has(name) ? shown.get(name) : Reflect.get(socket, name)),
    // For code that checks `'encrypted' in socket` first.
    has: (socket, name) => shown.has(name) || Reflect.has(socket, name),
    set: (socket, name, value) => Reflect.set(socket, name, value),
  })
  socketViews.add(req.socket)
}

const socketViews = new WeakSet<object>()

/** Whether the socket of a request is such a view. */
export function isSocketView(socket: object): boolean {
  return socketViews.has(socket)
}

/** Sets a field in `rawHeaders` and in `headers`, which Node.js has built already. */
function setField(req: IncomingMessage, name: string, value: string): void {
  const at = req.rawHeaders.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name)
  if (at < 0) return
  req.rawHeaders[at + 1] = value
  req.headers[name] = value
}

function removeFields(req: IncomingMessage, names: ReadonlySet<string>): void {
  const kept: string[] = []
  for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) {
    const [name = '', value = ''] = req.rawHeaders.slice(i, i + 2)
    if (!names.has(name.toLowerCase())) kept.push(name, value)
  }
  // Read before `rawHeaders` changes: the getter builds `headers` from all lines.
  const { headers } = req
  for (const name of names) delete headers[name]
  req.rawHeaders = kept
  const counted = Object.getOwnPropertySymbols(req).find(
    (key) => key.description === 'kHeadersCount',
  )
  if (counted !== undefined) Reflect.set(req, counted, kept.length)
}
