/** IP addresses as bytes. */
import { isIP } from 'node:net'

/** Returns the four or sixteen bytes of an IP address, in network order. */
export function parseAddressBytes(address: string): number[] {
  if (isIP(address) === 4) return address.split('.').map(Number)
  const [head = '', tail = ''] = address.split('::')
  const [before, after] = [groupBytes(head), groupBytes(tail)]
  const zeros = new Array<number>(16 - before.length - after.length).fill(0)
  return [...before, ...zeros, ...after]
}

// The last group may be an IPv4 address (RFC 4291 section 2.2).
function groupBytes(groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const number = Number.parseInt(group, 16)
    return [number >> 8, number & 0xff]
  })
}
