/** Checks of addresses that need no open socket, for use before a deployment. */

import { accessSync, constants, lstatSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { type Address, formatAddress, formatHostPort, parseAddress } from './address.ts'
import { explainBindError, resolveHost } from './socket.ts'

/** Settings that the check of addresses uses. */
export interface AddressSettings {
  readonly bind: readonly string[]
  readonly chdir: string
  readonly reuse_port: boolean
}

/**
 * Throws the errors that a start would throw for a host without an address, a path without a
 * directory, or an address named twice.
 */
export async function checkAddresses({ bind, chdir, reuse_port }: AddressSettings): Promise<void> {
  const seen = new Set<string>()
  for (const text of bind) {
    const address = parseAddress(text)
    if (address.kind === 'invalid') throw monocerosError('ERR_BIND', text, address.reason)
    const name = await findSocketName(address, chdir).catch((error) => {
      throw explainBindError(address, error)
    })
    if (seen.has(name)) throw monocerosError('ERR_BIND', name, 'it is named twice')
    // With port 0 the system chooses a different port for each.
    const isShared = address.kind === 'tcp' && (reuse_port || address.port === 0)
    if (!isShared) seen.add(name)
  }
}

async function findSocketName(address: Address, chdir: string): Promise<string> {
  if (address.kind === 'tcp') {
    return formatHostPort({ ...address, host: await resolveHost(address.host) })
  }
  if (address.kind === 'fd' || address.path.startsWith('\0')) return formatAddress(address)
  const path = resolve(chdir, address.path)
  // A start removes the socket file of an earlier process, so it needs write access to the
  // directory in any case.
  accessSync(dirname(path), constants.W_OK | constants.X_OK)
  const entry = lstatSync(path, { throwIfNoEntry: false })
  const place = formatAddress({ kind: 'unix', path })
  if (entry?.isSocket() === false)
    throw monocerosError('ERR_BIND', place, 'the file is not a socket')
  return place
}
