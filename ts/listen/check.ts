/** What can be told of addresses without opening them, before a deployment. */

import { accessSync, constants, lstatSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { type Address, formatAddress, formatHostPort, parseAddress } from './address.ts'
import { bindError, resolveHost } from './socket.ts'

export interface AddressSettings {
  readonly bind: readonly string[]
  readonly chdir: string
  readonly reuse_port: boolean
}

/** Throws what a start would of hosts without an address, of paths without a directory and of what is named twice. */
export async function checkAddresses({ bind, chdir, reuse_port }: AddressSettings): Promise<void> {
  const seen = new Set<string>()
  for (const text of bind) {
    const address = parseAddress(text)
    if (address.kind === 'invalid') throw monocerosError('ERR_BIND', text, address.reason)
    const place = await findSocketName(address, chdir).catch((error) => {
      throw bindError(address, error)
    })
    if (seen.has(place)) throw monocerosError('ERR_BIND', place, 'it is named twice')
    // The system chooses a port for each.
    const isShared = address.kind === 'tcp' && (reuse_port || address.port === 0)
    if (!isShared) seen.add(place)
  }
}

async function findSocketName(address: Address, chdir: string): Promise<string> {
  if (address.kind === 'tcp') {
    return formatHostPort({ ...address, host: await resolveHost(address.host) })
  }
  if (address.kind === 'fd' || address.path.startsWith('\0')) return formatAddress(address)
  const path = resolve(chdir, address.path)
  // A file that an earlier process left behind is removed first, so the right to the directory is needed in any case.
  accessSync(dirname(path), constants.W_OK | constants.X_OK)
  const entry = lstatSync(path, { throwIfNoEntry: false })
  const place = formatAddress({ kind: 'unix', path })
  if (entry?.isSocket() === false) throw monocerosError('ERR_BIND', place, 'the file is no socket')
  return place
}
