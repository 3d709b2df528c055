/**
 * Addresses of syslog and statsd that the settings give as host names. Each process resolves them
 * when it starts. A worker that cannot uses the addresses that the arbiter has found: a name that
 * no longer resolves must not keep the worker from serving.
 */

import { isIP } from 'node:net'

/** Settings that name a collector. */
export interface CollectorSettings {
  readonly syslog: boolean
  readonly syslog_addr: string
  readonly statsd_host: string | null
}

/** Settings of the collectors in use, with IP addresses in place of host names. */
export type CollectorAddresses = Partial<Pick<CollectorSettings, 'syslog_addr' | 'statsd_host'>>

/**
 * Resolves the host names. A name that does not resolve now gets its known address, or stays a
 * name.
 */
export async function resolveCollectors(
  { syslog, syslog_addr, statsd_host }: CollectorSettings,
  known: CollectorAddresses = {},
): Promise<CollectorAddresses> {
  return {
    ...(syslog ? { syslog_addr: await resolveHostIn(syslog_addr, known.syslog_addr) } : {}),
    ...(statsd_host === null
      ? {}
      : { statsd_host: await resolveHostIn(statsd_host, known.statsd_host ?? undefined) }),
  }
}

async function resolveHostIn(address: string, known = address): Promise<string> {
  const [, scheme = '', host = '', port = ''] =
    /^((?:udp|tcp):\/\/)?([^/:[\]]+)((?::\d+)?)$/i.exec(address) ?? []
  if (host === '' || isIP(host) !== 0) return address
  // Loaded only if there is a name to look up.
  const { lookup } = process.getBuiltinModule('node:dns/promises')
  try {
    const { address, family } = await lookup(host)
    return `${scheme}${family === 6 ? `[${address}]` : address}${port}`
  } catch {
    // Opening the address reports what is wrong with the name.
    return known
  }
}
