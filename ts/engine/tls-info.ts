/** What is known about a TLS connection; `crates/engine/src/transport/tls/info.rs` writes it. */
import { u32 } from './native/batch-text.ts'
import {
  TLS_CHAIN_LENGTH_AT,
  TLS_CIPHER_AT,
  TLS_FLAG,
  TLS_FLAGS_AT,
  TLS_TEXT_LENGTHS_AT,
  TLS_TEXTS_AT,
  TLS_VERSION_AT,
} from './native/wire.ts'

/** Returns the number of characters of the TLS info that begins at `at` in the text of a batch. */
export function tlsInfoLength(text: string, at: number): number {
  const lengths = at + TLS_TEXT_LENGTHS_AT
  const texts =
    text.charCodeAt(lengths) + text.charCodeAt(lengths + 1) + text.charCodeAt(lengths + 2)
  return TLS_TEXTS_AT + texts + u32(text, at + TLS_CHAIN_LENGTH_AT)
}

/** The TLS info of one connection. Few applications ask for it, so it is decoded on demand. */
export class TlsInfo {
  /** A copy: a slice would keep the text of the whole batch alive. */
  readonly #bytes: Buffer

  constructor(text: string, at: number) {
    this.#bytes = Buffer.from(text.slice(at, at + tlsInfoLength(text, at)), 'latin1')
  }

  /** The protocol version as on the wire: 0x0304 for TLS 1.3. */
  get version(): number {
    return this.#bytes.readUInt16LE(TLS_VERSION_AT)
  }

  /** The number of the cipher suite. */
  get cipher(): number {
    return this.#bytes.readUInt16LE(TLS_CIPHER_AT)
  }

  /** Whether the client was asked for a certificate. */
  get isAsked(): boolean {
    return this.#has(TLS_FLAG.ASKED)
  }

  /** Whether the client's certificate was verified. */
  get isAuthorized(): boolean {
    return this.#has(TLS_FLAG.AUTHORIZED)
  }

  /** Whether the session was resumed. */
  get isResumed(): boolean {
    return this.#has(TLS_FLAG.RESUMED)
  }

  /** The server name that the client sent (SNI); empty without one. */
  get serverName(): string {
    return this.#text(0)
  }

  /** The protocol that ALPN selected; empty without one. */
  get protocol(): string {
    return this.#text(1)
  }

  /** The reason for which the client is not authorized; empty if it is, or was not asked. */
  get error(): string {
    return this.#text(2)
  }

  /** The client's certificates in DER, its own first. */
  get chain(): Buffer[] {
    const certificates: Buffer[] = []
    let at = this.#textAt(3)
    while (at < this.#bytes.length) {
      const end = at + derLength(this.#bytes, at)
      certificates.push(this.#bytes.subarray(at, end))
      at = end
    }
    return certificates
  }

  #has(flag: number): boolean {
    return (this.#bytes.readUInt8(TLS_FLAGS_AT) & flag) !== 0
  }

  #text(index: number): string {
    const start = this.#textAt(index)
    const length = this.#bytes.readUInt8(TLS_TEXT_LENGTHS_AT + index)
    return this.#bytes.toString('latin1', start, start + length)
  }

  #textAt(index: number): number {
    let at = TLS_TEXTS_AT
    for (let i = 0; i < index; i++) at += this.#bytes.readUInt8(TLS_TEXT_LENGTHS_AT + i)
    return at
  }
}

/** Returns the length of an ASN.1 value with its tag and length (X.690 section 8.1). */
function derLength(bytes: Buffer, at: number): number {
  const first = bytes.readUInt8(at + 1)
  if (first < 0x80) return 2 + first
  const count = first & 0x7f
  return 2 + count + bytes.readUIntBE(at + 2, count)
}
