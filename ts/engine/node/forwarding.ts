/**
 * What a trusted proxy says of the client, and the field names that nobody may send, for the engine on node:http; the
 * native one has it in `crates/engine/src/guard/forwarding.rs`. PROXY protocol and methods of other letters are not here: node's
 * parser is first.
 */
import type { IncomingMessage } from 'node:http'
import { isIP, SocketAddress } from 'node:net'
import { applyRootPath, findPathStart, type MountedRequest } from '../../http/node/root-path.ts'
import { AddressList } from '../../listen/address-list.ts'
import type { ParsePolicy } from '../parse-policy.ts'
import { parseForwarded } from './forwarded.ts'

const BAD_REQUEST = 400
const MISCONFIGURED = 500

interface ForwardedNode {
  readonly address: string
  /** 0 where none is told. */
  readonly port: number
}

interface ForwardedClient {
  readonly node: ForwardedNode | undefined
  readonly host: string | undefined
  readonly secure: boolean | undefined
}

/** `forwarded_headers` says which of them is believed. */
const CLIENT_FIELDS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host']

const HOST = /^(?:\[([^\]%]*)\]|(?:[\w\-.~!$&'()*+;=]|%[\da-f]{2})*)(?::(\d{0,5}))?$/i
const FUTURE_ADDRESS = /^v[\da-f]+\.[\w\-.~!$&'()*+;=:]+$/i
const MAX_PORT = 65_535
/** More proxies than anybody has. */
const MAX_HOPS = 64

/** A name or an address, with an optional port: no user, no path, no list (RFC 3986 section 3.2.2). */
export function isHost(text: string): boolean {
  const parts = HOST.exec(text)
  if (parts === null || Number(parts[2] ?? 0) > MAX_PORT) return false
  const [, literal] = parts
  return literal === undefined || isIP(literal) === 6 || FUTURE_ADDRESS.test(literal)
}

const NO_CLIENT: ForwardedClient = { node: undefined, host: undefined, secure: undefined }

export class ForwardedHeaders {
  readonly #policy: ParsePolicy
  readonly #trusted: AddressList
  readonly #forwarderHeaders: ReadonlySet<string>
  readonly #schemes: readonly (readonly [string, string])[]
  readonly #prefix: string
  /** The names of the fields that say something of the client, in small letters, and how long they are. */
  readonly #forwardingFields: ReadonlySet<string>
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

  /** Changes the request to what the application is to see; returns the status with which it is refused, or 0. */
  apply(req: IncomingMessage): number {
    // Most requests have no such field: looking an address up in the list costs a tenth of a whole request.
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
      const [told, again] = this.#forwardedPrefixes(req)
      if (told !== undefined) {
        if (again !== undefined || !/^(\/(?!\/)[^?#\\]*)?$/.test(told)) return BAD_REQUEST
        prefix = normalizePrefix(told)
      }
    }
    return this.#applyPrefix(req, prefix)
  }

  /** Whether a field tells of the client or has an underscore in its name. */
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
    const behind = path.charAt(prefix.length)
    if (!path.startsWith(prefix) || (behind !== '' && !'/?#'.includes(behind))) return MISCONFIGURED
    applyRootPath(req as MountedRequest, prefix)
    return 0
  }

  /** Leaves out, refuses or keeps fields with underscores; false when the request is refused. */
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

  /** The client by the field that is believed; undefined when the fields are bad or contradict each other. */
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
      const said = parseNode(item)
      if (said === undefined) break
      node = said
      hops++
      if (hops === MAX_HOPS || !this.#trusted.contains(said.address)) break
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

/** One leading slash, none behind. */
function normalizePrefix(path: string): string {
  const inside = path.replace(/^\/+|\/+$/g, '')
  return inside === '' ? '' : `/${inside}`
}

/** What all that is said comes to. */
function findAgreement(said: Iterable<boolean | undefined>): boolean | undefined | 'disagree' {
  let known: boolean | undefined
  for (const each of said) {
    if (known !== undefined && each !== undefined && known !== each) return 'disagree'
    known ??= each
  }
  return known
}

const NODE = /^(?:\[(?<literal>[^\]]*)\]|(?<dotted>[^:]*))(?::(?<port>\d+))?$/

/** What `192.0.2.1:80`, `[2001:db8::1]:80` and the like say, the address in the one form that it has. */
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

// A zone is one of this machine's and not of the client's.
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

/** The items of the lists of a name; empty ones count for nothing (RFC 9110 section 5.6.1.2). */
function itemsOf(req: IncomingMessage, name: string): string[] {
  const items = valuesOf(req, name).flatMap((value) => value.split(','))
  return items.map((item) => item.trim()).filter((item) => item !== '')
}

/**
 * The socket as a request shows it: node has several requests of a connection in hand at once, each perhaps of another
 * client. All but the facts is the socket's own.
 */
function replaceSocket(
  req: IncomingMessage,
  node: ForwardedNode | undefined,
  secure: boolean,
): void {
  const facts = new Map<PropertyKey, unknown>()
  if (node !== undefined) {
    facts.set('remoteAddress', node.address)
    facts.set('remoteFamily', isIP(node.address) === 4 ? 'IPv4' : 'IPv6')
    facts.set('remotePort', node.port === 0 ? undefined : node.port)
  }
  if (secure) facts.set('encrypted', true)
  if (facts.size === 0) return
  req.socket = new Proxy(req.socket, {
    get: (socket, name) => (facts.has(name) ? facts.get(name) : Reflect.get(socket, name)),
    // Some ask first whether there is such a fact, as of a socket that may be plain.
    has: (socket, name) => facts.has(name) || Reflect.has(socket, name),
    set: (socket, name, value) => Reflect.set(socket, name, value),
  })
  socketViews.add(req.socket)
}

const socketViews = new WeakSet<object>()

/** Whether a request shows its socket with another client than the connection's. */
export function isSocketView(socket: object): boolean {
  return socketViews.has(socket)
}

/** Fields as they crossed and as they are looked up; node has read the latter already. */
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
  // Looked at before the lines change, so that node makes it of all of them.
  const { headers } = req
  for (const name of names) delete headers[name]
  req.rawHeaders = kept
  const counted = Object.getOwnPropertySymbols(req).find(
    (key) => key.description === 'kHeadersCount',
  )
  if (counted !== undefined) Reflect.set(req, counted, kept.length)
}
