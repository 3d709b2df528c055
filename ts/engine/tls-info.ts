/** What is known of a connection that speaks TLS, as `crates/engine/src/transport/tls/info.rs` writes it. */
import { u32 } from './native/wire.ts'

const FIXED_BYTES = 12
const ASKED = 1
const AUTHORIZED = 2
const RESUMED = 4

/** How many characters of a batch's text the facts take that begin at `at`. */
export function tlsInfoLength(text: string, at: number): number {
  const texts = text.charCodeAt(at + 5) + text.charCodeAt(at + 6) + text.charCodeAt(at + 7)
  return FIXED_BYTES + texts + u32(text, at + 8)
}

/** The facts of one connection. Most are never asked for: they are read out of their bytes when they are. */
export class TlsInfo {
  /** A copy: a part of the batch's text would keep all of it. */
  readonly #bytes: Buffer

  constructor(text: string, at: number) {
    this.#bytes = Buffer.from(text.slice(at, at + tlsInfoLength(text, at)), 'latin1')
  }

  /** As on the wire: 0x0304 for TLS 1.3. */
  get version(): number {
    return this.#bytes.readUInt16LE(0)
  }

  /** The suite's number. */
  get cipher(): number {
    return this.#bytes.readUInt16LE(2)
  }

  /** The client was asked for a certificate. */
  get isAsked(): boolean {
    return this.#has(ASKED)
  }

  get isAuthorized(): boolean {
    return this.#has(AUTHORIZED)
  }

  get isResumed(): boolean {
    return this.#has(RESUMED)
  }

  /** The name that the client asked for; empty for none. */
  get serverName(): string {
    return this.#text(0)
  }

  /** What was agreed on by ALPN; empty for nothing. */
  get protocol(): string {
    return this.#text(1)
  }

  /** Why the client is not authorized; empty where it is, or was not asked. */
  get error(): string {
    return this.#text(2)
  }

  /** The certificates of the client, its own first, each in DER. */
  get chain(): Buffer[] {
    const certificates: Buffer[] = []
    let at = this.#start(3)
    while (at < this.#bytes.length) {
      const end = at + derLength(this.#bytes, at)
      certificates.push(this.#bytes.subarray(at, end))
      at = end
    }
    return certificates
  }

  #has(flag: number): boolean {
    return (this.#bytes.readUInt8(4) & flag) !== 0
  }

  #text(place: number): string {
    const start = this.#start(place)
    return this.#bytes.toString('latin1', start, start + this.#bytes.readUInt8(5 + place))
  }

  #start(place: number): number {
    let at = FIXED_BYTES
    for (let before = 0; before < place; before++) at += this.#bytes.readUInt8(5 + before)
    return at
  }
}

/** Of a value of ASN.1: tag, length, and as many bytes (X.690 section 8.1). */
function derLength(bytes: Buffer, at: number): number {
  const first = bytes.readUInt8(at + 1)
  if (first < 0x80) return 2 + first
  const count = first & 0x7f
  return 2 + count + bytes.readUIntBE(at + 2, count)
}
