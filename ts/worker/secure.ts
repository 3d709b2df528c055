/** What the arbiter says of TLS while a worker boots or serves: the last word counts. */

import type { Engine } from '../engine/engine.ts'
import type { Logger } from '../log/logger.ts'
import type { BootMessage, SecureMessage } from '../messages.ts'

let latest: SecureMessage | undefined

/** What an engine begins with. */
export function secureOptions({ tls, ticketSecrets }: BootMessage) {
  return { tls: latest?.tls ?? tls, ticketSecrets: latest?.ticketSecrets ?? ticketSecrets }
}

/** Connections that begin from now on get what is new; what cannot be used leaves all as it was. */
export function secure(
  engine: Engine | undefined,
  log: Logger | undefined,
  message = latest,
): void {
  latest = message
  if (message === undefined) return
  try {
    engine?.secure(message.tls, message.ticketSecrets)
  } catch (error) {
    log?.error(`TLS stays as it was: ${error instanceof Error ? error.message : error}`)
  }
}
