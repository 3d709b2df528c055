/** The versions of HTTP that the settings select. */
import { splitNames } from '../settings/kinds.ts'

export interface ProtocolConfig {
  readonly http_protocols: string | null
  readonly http2_cleartext: string | null
}

/** The names of HTTP/1 in ALPN. A client that is limited to HTTP/1.0 offers only that name. */
export const HTTP1_ALPN: readonly string[] = ['http/1.1', 'http/1.0']

const ALPN: Readonly<Record<string, readonly string[]>> = { h1: HTTP1_ALPN, h2: ['h2'] }

/** The protocols that TLS offers by ALPN, the preferred one first. HTTP/1 is always among them. */
export function alpnProtocols({
  http_protocols,
}: Pick<ProtocolConfig, 'http_protocols'>): string[] {
  const names = splitNames(http_protocols ?? 'h2,h1')
  const protocols = names.flatMap((name) => ALPN[name] ?? name)
  return names.includes('h1') ? protocols : [...protocols, ...HTTP1_ALPN]
}

/** How HTTP/2 is served without TLS: not at all, beside HTTP/1.1, or alone. */
export function http2InClear(config: Partial<ProtocolConfig>): 'off' | 'beside' | 'alone' {
  const { http_protocols = null, http2_cleartext = null } = config
  const isWanted =
    http2_cleartext === null
      ? asksForHttp2({ http_protocols })
      : http2_cleartext === 'prior-knowledge'
  if (!isWanted) return 'off'
  return splitNames(http_protocols ?? '').join() === 'h2' ? 'alone' : 'beside'
}

/** Returns whether the settings name HTTP/2. */
export function asksForHttp2({ http_protocols }: Pick<ProtocolConfig, 'http_protocols'>): boolean {
  return splitNames(http_protocols ?? '').includes('h2')
}
