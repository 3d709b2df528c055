/** Address of a worker's debugger: each worker has its own port. */

/** Returns the address for the worker in a slot, counted from 1. Port 0 is any free port. */
export function resolveInspectAddress(
  address: string,
  slot: number,
): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  const port = Number(address.slice(colon + 1))
  return { host: address.slice(0, colon), port: port === 0 ? 0 : port + slot - 1 }
}

/** Returns the flag of Node that opens the debugger's port. */
export function formatInspectFlag(address: string, slot: number): string {
  const { host, port } = resolveInspectAddress(address, slot)
  return `--inspect=${host}:${port}`
}
