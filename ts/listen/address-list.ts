/** Lists of addresses in settings: single addresses, networks in CIDR notation, or `*` for all. */
import { BlockList, isIP } from 'node:net'

import { parseAddressBytes } from './address-bytes.ts'

const ANY_ADDRESS = '*'

/**
 * Returns the first part of a list that is neither an address nor a network. A network must not
 * have bits set after its prefix.
 */
export function findInvalidAddress(text: string): string | undefined {
  return splitList(text).find((part) => part !== ANY_ADDRESS && !isNetwork(part))
}

/** Peer addresses that a setting lists; `addresses.rs` is the same in the native engine. */
export class AddressList {
  readonly #includesAll: boolean
  readonly #list = new BlockList()

  constructor(text: string) {
    const parts = splitList(text)
    this.#includesAll = parts.includes(ANY_ADDRESS)
    for (const part of parts) {
      if (part === ANY_ADDRESS) continue
      const [address = '', length] = part.split('/')
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
      if (length === undefined) this.#list.addAddress(address, family)
      else this.#list.addSubnet(address, Number(length), family)
    }
  }

  /**
   * Returns whether the list contains the peer. A peer without an address uses a unix socket, to
   * which the file system controls access.
   */
  trusts(address: string | undefined): boolean {
    if (address === undefined || this.#includesAll) return true
    return this.contains(address)
  }

  contains(address: string): boolean {
    if (this.#includesAll) return true
    const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
    const family = isIP(plain)
    return family !== 0 && this.#list.check(plain, family === 4 ? 'ipv4' : 'ipv6')
  }
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function isNetwork(part: string): boolean {
  const [address = '', length, ...more] = part.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0 || address.includes('%')) return false
  if (length === undefined) return true
  const bits = Number(length)
  if (!/^\d{1,3}$/.test(length) || bits > (family === 4 ? 32 : 128)) return false
  return parseAddressBytes(address).every((byte, at) => {
    const free = Math.min(8, Math.max(0, (at + 1) * 8 - bits))
    return (byte & ((1 << free) - 1)) === 0
  })
}
