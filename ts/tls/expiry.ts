/** Says of certificates that they expire soon, have expired or are not valid yet: when that comes, and once a day. */

import type { Logger } from '../log/logger.ts'
import type { TlsCertificate, TlsMaterial } from './material.ts'

const DAY_MS = 86_400_000
/** Whoever renews in time has done so before the last quarter of a certificate's time, and before the last three weeks. */
const LIFETIME_DIVISOR = 4
const MAX_WARNING_MS = 21 * DAY_MS

interface Validity {
  readonly name: string
  readonly fromMs: number
  readonly toMs: number
}

type ExpiryState = 'good' | 'soon' | 'expired' | 'early'

export class ExpiryMonitor {
  #material: TlsMaterial | undefined
  #validities: readonly Validity[] = []
  #loggedStates = ''
  #loggedMs = 0

  logExpiry(material: TlsMaterial, date: Date, log: Logger): void {
    if (material !== this.#material) {
      this.#material = material
      this.#validities = material.certificates.map(validityOf)
    }
    const nowMs = date.getTime()
    const standings = this.#validities.map((one) => expiryStateOf(one, nowMs))
    if (standings.join() === this.#loggedStates && nowMs - this.#loggedMs < DAY_MS) return
    this.#loggedStates = standings.join()
    this.#loggedMs = nowMs
    for (const [index, validity] of this.#validities.entries()) {
      logState(standings[index] ?? 'good', { validity, nowMs, log })
    }
  }
}

function logState(
  standing: ExpiryState,
  { validity, nowMs, log }: { validity: Validity; nowMs: number; log: Logger },
): void {
  const { name, fromMs, toMs } = validity
  const days = Math.floor((toMs - nowMs) / DAY_MS)
  if (standing === 'soon') {
    const left = days === 0 ? 'within a day' : `in ${days} day${days === 1 ? '' : 's'}`
    log.warning(`TLS: the certificate of ${name} expires ${left}, at ${formatDate(toMs)}: renew it`)
  }
  if (standing === 'expired') {
    log.error(
      `TLS: the certificate of ${name} has expired, at ${formatDate(toMs)}: clients refuse it`,
    )
  }
  if (standing === 'early') {
    log.error(
      `TLS: the certificate of ${name} is valid from ${formatDate(fromMs)} on: clients refuse it`,
    )
  }
}

function expiryStateOf({ fromMs, toMs }: Validity, nowMs: number): ExpiryState {
  if (nowMs >= toMs) return 'expired'
  if (nowMs < fromMs) return 'early'
  return toMs - nowMs < Math.min(MAX_WARNING_MS, (toMs - fromMs) / LIFETIME_DIVISOR)
    ? 'soon'
    : 'good'
}

function validityOf({ chain, hostNames: names }: TlsCertificate): Validity {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  const { validFrom, validTo, subject } = new X509Certificate(chain)
  const name = names.join(', ') || subject
  return { name, fromMs: Date.parse(validFrom), toMs: Date.parse(validTo) }
}

function formatDate(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
