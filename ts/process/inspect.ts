/** Where the debugger of a worker listens: each has a port of its own. */

/** The address of the worker in this slot, counted from 1; the port 0 is any free one. */
export function inspectAddress(address: string, slot: number): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  const port = Number(address.slice(colon + 1))
  return { host: address.slice(0, colon), port: port === 0 ? 0 : port + slot - 1 }
}

/** As Node takes it. */
export function inspectFlag(address: string, slot: number): string {
  const { host, port } = inspectAddress(address, slot)
  return `--inspect=${host}:${port}`
}
