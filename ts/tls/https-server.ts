/** Reads the TLS options of a program's own `https.createServer(options)`, for the engines. */
import type { Server } from 'node:http'
import https from 'node:https'

import { monocerosError } from '../errors.ts'
import type { TlsMaterial } from './material.ts'
import { listUnsupportedOptions, materialFromOptions, type ProgramTlsOptions } from './options.ts'

const WHERE = "the program's https server"

/** The options that the engines support; node:https keeps them as properties of the server. */
const OPTION_NAMES: readonly (keyof ProgramTlsOptions)[] = [
  'cert',
  'key',
  'passphrase',
  'ca',
  'crl',
  'ciphers',
  'minVersion',
  'maxVersion',
  'secureOptions',
  'requestCert',
  'rejectUnauthorized',
]

/**
 * Converts the options of a server; throws ERR_TLS_OPTIONS if the engines do not support one of
 * them.
 */
export function materialFromServer(
  server: Server,
  rest: Pick<TlsMaterial, 'requiresCloseNotify' | 'alpnProtocols'>,
): TlsMaterial {
  const unsupported = listUnsupportedOptions(server)
  if (hasOwnSniCallback(server)) unsupported.push('SNICallback')
  const contexts: readonly unknown[] = Reflect.get(server, '_contexts') ?? []
  if (contexts.length > 0) unsupported.push('addContext()')
  if (unsupported.length > 0) throw unsupportedOptionsError(unsupported)
  const options: ProgramTlsOptions = Object.fromEntries(
    OPTION_NAMES.map((name) => [name, Reflect.get(server, name)]),
  )
  return materialFromOptions(options, { source: WHERE, ...rest })
}

/** Whether the program has set `SNICallback`; Node.js puts in a function of its own otherwise. */
function hasOwnSniCallback(server: Server): boolean {
  const untouched = https.createServer()
  const symbol = Object.getOwnPropertySymbols(untouched).find(
    ({ description }) => description === 'snicallback',
  )
  return symbol !== undefined && Reflect.get(server, symbol) !== Reflect.get(untouched, symbol)
}

/**
 * Calls back whenever the program replaces the options with `setSecureContext`, as one that renews
 * its certificate does. `addContext` throws, as the same contexts do at the start: the engines
 * would not use them.
 */
export function watchServerOptions(server: Server, changed: () => void): void {
  const setSecureContext: (options: object) => void = Reflect.get(server, 'setSecureContext')
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
  const remedy = 'the settings certfile, keyfile and certificates override the program'
  return monocerosError(
    'ERR_TLS_OPTIONS',
    WHERE,
    `${names.join(', ')} cannot be honoured; ${remedy}`,
  )
}
