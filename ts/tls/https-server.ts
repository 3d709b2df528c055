/** TLS as a program's own `https.createServer(options)` asks for it. */
import type { Server } from 'node:http'
import https from 'node:https'

import { monocerosError } from '../errors.ts'
import type { TlsMaterial } from './material.ts'
import { listUnsupportedOptions, materialFromOptions, type ProgramTlsOptions } from './options.ts'

const WHERE = "the program's https server"

/** What node keeps of the options on a server of node:https. */
interface SecureServer extends ProgramTlsOptions {
  readonly _contexts?: readonly unknown[]
  readonly [field: symbol]: unknown
}

/** What of it the engine has nothing for is refused, in words that say what there is in its place. */
export function materialFromServer(
  server: Server,
  rest: Pick<TlsMaterial, 'requiresCloseNotify' | 'alpnProtocols'>,
): TlsMaterial {
  const options = server as unknown as SecureServer
  const unsupported = listUnsupportedOptions(options)
  if (hasOwnSniCallback(options)) unsupported.push('SNICallback')
  if ((options._contexts ?? []).length > 0) unsupported.push('addContext()')
  if (unsupported.length > 0) throw unsupportedOptionsError(unsupported)
  return materialFromOptions(options, { source: WHERE, ...rest })
}

/** Node puts its own function where a program gives none. */
function hasOwnSniCallback(server: SecureServer): boolean {
  const untouched = https.createServer() as unknown as SecureServer
  const symbol = Object.getOwnPropertySymbols(untouched).find(
    ({ description }) => description === 'snicallback',
  )
  return symbol !== undefined && server[symbol] !== untouched[symbol]
}

/**
 * Calls back whenever the program gives its server other options, as one that renews its certificate does. Names that it
 * adds are refused as they are at the start: it would go on as if they were shown.
 */
export function watchServerOptions(server: Server, changed: () => void): void {
  const { setSecureContext } = server as unknown as { setSecureContext(options: object): void }
  const methods = {
    setSecureContext(this: Server, options: object) {
      setSecureContext.call(this, options)
      changed()
    },
    addContext() {
      throw unsupportedOptionsError(['addContext()'])
    },
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(server, name, { value, writable: true, configurable: true })
  }
}

function unsupportedOptionsError(names: readonly string[]): Error {
  return monocerosError(
    'ERR_TLS_OPTIONS',
    WHERE,
    `${names.join(', ')} cannot be honoured; certfile, keyfile and certificates of the settings stand above the program`,
  )
}
