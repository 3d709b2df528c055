/** What the arbiter says of TLS while a worker boots or serves: the last word counts. */

import type { Server } from 'node:http'

import type { Engine, ListenerInfo, Target } from '../engine/engine.ts'
import { alpnProtocols } from '../engine/protocols.ts'
import { isHttpsServer } from '../http/node/internals.ts'
import type { Logger } from '../log/logger.ts'
import type { BootMessage, TlsUpdateMessage } from '../messages.ts'
import type { TlsMaterial } from '../tls/material.ts'

let latestMessage: TlsUpdateMessage | undefined
/** What the program's own https server shows, where the settings name no certificate. */
let programMaterial: TlsMaterial | undefined

/** What an engine begins with. */
export function currentTls({ tls, ticketSecrets }: BootMessage) {
  return {
    tls: latestMessage?.tls ?? tls ?? programMaterial,
    ticketSecrets: latestMessage?.ticketSecrets ?? ticketSecrets,
  }
}

/** Connections that begin from now on get what is new; what cannot be used leaves all as it was. */
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
    log?.error(`TLS stays as it was: ${error instanceof Error ? error.message : error}`)
  }
}

/**
 * Takes over what the program's https server is to show, and says where TLS is spoken then. `changed` is called when the
 * program gives it other options.
 */
export async function applyServerTls(
  target: Target,
  message: BootMessage,
  { log, changed }: { log: Logger; changed: (ticketSecrets: readonly string[]) => void },
): Promise<readonly ListenerInfo[]> {
  const { listeners, config, tls, ticketSecrets } = message
  if (target.style !== 'node' || !isHttpsServer(target.server)) return listeners
  if (tls !== undefined) {
    log.info(
      "TLS: the certificate of the settings stands above the one of the program's https server",
    )
    return listeners
  }
  const { server } = target
  // Only for those who need it: the cryptography of node is large.
  const { watchServerOptions: followOptions, materialFromServer: materialOfServer } = await import(
    '../tls/https-server.ts'
  )
  const read = (server: Server) =>
    materialOfServer(server, {
      alpnProtocols: alpnProtocols(config),
      requiresCloseNotify: !config.suppress_ragged_eofs,
    })
  programMaterial = read(server)
  followOptions(server, () => {
    programMaterial = read(server)
    changed(latestMessage?.ticketSecrets ?? ticketSecrets)
  })
  const secured = listeners.map((listener) =>
    listener.canBeSecure
      ? { ...listener, isSecure: true, address: listener.address.replace(/^http:/, 'https:') }
      : listener,
  )
  const shown = secured.filter((listener) => listener.isSecure === true)
  log.info(
    `TLS: the program's own certificate is shown at ${shown.map(({ address }) => address).join(',') || 'no address'}`,
  )
  return secured
}
