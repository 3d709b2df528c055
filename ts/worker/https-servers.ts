/**
 * The TLS material of a worker: from the settings, or from the program's own https server. Updates
 * from the arbiter may arrive during the boot too; the latest one counts.
 */

import type { Server } from 'node:http'

import type { Engine, ListenerInfo, Target } from '../engine/engine.ts'
import { alpnProtocols } from '../engine/protocols.ts'
import { isHttpsServer } from '../http/node/internals.ts'
import type { Logger } from '../log/logger.ts'
import type { BootMessage, TlsUpdateMessage } from '../messages.ts'
import type { TlsMaterial } from '../tls/material.ts'

let latestMessage: TlsUpdateMessage | undefined
/** The material of the program's own https server, where the settings name no certificate. */
let programMaterial: TlsMaterial | undefined

/** Returns the engine options of TLS, as of now. */
export function currentTls({ tls, ticketSecrets }: BootMessage) {
  return {
    tls: latestMessage?.tls ?? tls ?? programMaterial,
    ticketSecrets: latestMessage?.ticketSecrets ?? ticketSecrets,
  }
}

/**
 * Applies an update to connections that begin from now on. Material that the engine refuses is
 * logged, and the previous material stays in use.
 */
export function applyTls(
  engine: Engine | undefined,
  log: Logger | undefined,
  message = latestMessage,
): void {
  latestMessage = message
  if (message === undefined) return
  try {
    engine?.secure(message.tls ?? programMaterial, message.ticketSecrets)
  } catch (error) {
    const problem = error instanceof Error ? error.message : error
    log?.error(`TLS: the update is refused, the previous material stays in use: ${problem}`)
  }
}

/**
 * Takes over the TLS options of the program's https server, if it has one, and returns the
 * listeners with TLS enabled where the program may use it. `changed` is called when the program
 * replaces the options.
 */
export async function applyServerTls(
  target: Target,
  message: BootMessage,
  { log, changed }: { log: Logger; changed: (ticketSecrets: readonly string[]) => void },
): Promise<readonly ListenerInfo[]> {
  const { listeners, config, tls, ticketSecrets } = message
  if (target.style !== 'node' || !isHttpsServer(target.server)) return listeners
  if (tls !== undefined) {
    log.info("TLS: the certificate of the settings overrides the one of the program's https server")
    return listeners
  }
  const { server } = target
  // Loaded only for https servers: Node's cryptography takes much memory.
  const { watchServerOptions, materialFromServer } = await import('../tls/https-server.ts')
  const read = (server: Server) =>
    materialFromServer(server, {
      alpnProtocols: alpnProtocols(config),
      requiresCloseNotify: !config.suppress_ragged_eofs,
    })
  programMaterial = read(server)
  watchServerOptions(server, () => {
    programMaterial = read(server)
    changed(latestMessage?.ticketSecrets ?? ticketSecrets)
  })
  const secured = listeners.map((listener) =>
    listener.canBeSecure
      ? { ...listener, isSecure: true, address: listener.address.replace(/^http:/, 'https:') }
      : listener,
  )
  const addresses = secured.filter(({ isSecure }) => isSecure).map((one) => one.address)
  log.info(`TLS: the program's own certificate is shown at ${addresses.join(',') || 'no address'}`)
  return secured
}
