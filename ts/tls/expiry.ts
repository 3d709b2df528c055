/**
 * Logs that certificates expire soon, have expired or are not valid yet: when that becomes true,
 * and then once a day.
 */

import type { Logger } from '../log/logger.ts'
import type { TlsCertificate, TlsMaterial } from './material.ts'

const DAY_MS = 86_400_000
/**
 * A warning starts in the last quarter of a certificate's lifetime: automatic renewal happens
 * earlier.
 */
const LIFETIME_DIVISOR = 4
/** A warning starts no earlier than three weeks before the expiry, however long the lifetime is. */
const MAX_WARNING_MS = 21 * DAY_MS

interface Validity {
  readonly name: string
  readonly fromMs: number
  readonly toMs: number
}

type ExpiryState = 'good' | 'soon' | 'expired' | 'early'

/** Remembers what has been logged about the certificates. */
export class ExpiryMonitor {
  #material: TlsMaterial | undefined
  #validities: readonly Validity[] = []
  #loggedStates = ''
  #loggedMs = 0

  /** Checks all certificates of the material; call once a second. */
  logExpiry(material: TlsMaterial, date: Date, log: Logger): void {
    if (material !== this.#material) {
      this.#material = material
      this.#validities = material.certificates.map(validityOf)
    }
    const nowMs = date.getTime()
    const states = this.#validities.map((one) => expiryStateOf(one, nowMs))
    if (states.join() === this.#loggedStates && nowMs - this.#loggedMs < DAY_MS) return
    this.#loggedStates = states.join()
    this.#loggedMs = nowMs
    for (const [index, validity] of this.#validities.entries()) {
      logState(states[index] ?? 'good', { validity, nowMs, log })
    }
  }
}

function logState(
  state: ExpiryState,
  { validity, nowMs, log }: { validity: Validity; nowMs: number; log: Logger },
): void {
  const { name, fromMs, toMs } = validity
  const [from, to] = [formatDate(fromMs), formatDate(toMs)]
  const days = Math.floor((toMs - nowMs) / DAY_MS)
  if (state === 'soon') {
    const left = days === 0 ? 'within a day' : `in ${days} day${days === 1 ? '' : 's'}`
    log.warning(`TLS: the certificate of ${name} expires ${left}, at ${to}: renew it`)
  }
  if (state === 'expired') {
    log.error(`TLS: the certificate of ${name} has expired, at ${to}: clients refuse it`)
  }
  if (state === 'early') {
    log.error(`TLS: the certificate of ${name} is not valid before ${from}: clients refuse it`)
  }
}

function expiryStateOf({ fromMs, toMs }: Validity, nowMs: number): ExpiryState {
  if (nowMs >= toMs) return 'expired'
  if (nowMs < fromMs) return 'early'
  return toMs - nowMs < Math.min(MAX_WARNING_MS, (toMs - fromMs) / LIFETIME_DIVISOR)
    ? 'soon'
    : 'good'
}

function validityOf({ chain, hostNames }: TlsCertificate): Validity {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  const { validFrom, validTo, subject } = new X509Certificate(chain)
  const name = hostNames.join(', ') || subject
  return { name, fromMs: Date.parse(validFrom), toMs: Date.parse(validTo) }
}

function formatDate(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
