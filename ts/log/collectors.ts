/**
 * The addresses of syslog and statsd, where they are given by name. Each process looks the names up when it starts; a worker
 * that cannot takes what the arbiter has found, for a name that nobody knows any more must not keep it from serving.
 */

import { isIP } from 'node:net'

export interface CollectorSettings {
  readonly syslog: boolean
  readonly syslog_addr: string
  readonly statsd_host: string | null
}

/** The settings of those that are used, with numbers for names. */
export type CollectorAddresses = Partial<Pick<CollectorSettings, 'syslog_addr' | 'statsd_host'>>

/** Looks the names up; one that is not known now has the address that is known of it, else it stays a name. */
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

async function resolveHostIn(place: string, known = place): Promise<string> {
  const [, scheme = '', host = '', port = ''] =
    /^((?:udp|tcp):\/\/)?([^/:[\]]+)((?::\d+)?)$/i.exec(place) ?? []
  if (host === '' || isIP(host) !== 0) return place
  // Loaded only where there is a name to look up.
  const { lookup } = process.getBuiltinModule('node:dns/promises')
  try {
    const { address, family } = await lookup(host)
    return `${scheme}${family === 6 ? `[${address}]` : address}${port}`
  } catch {
    // Whoever opens the address says what is wrong with a name.
    return known
  }
}
