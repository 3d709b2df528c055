/** How requests are read: the settings of `crates/engine/src/guard/parse_policy.rs`, for both engines. */
import { splitNames } from '../settings/kinds.ts'

/** The settings; a `Config` has them. */
export interface RulesConfig {
  readonly permit_unconventional_http_method: boolean
  readonly casefold_http_method: boolean
  readonly header_map: 'drop' | 'refuse' | 'dangerous'
  readonly forwarded_allow_ips: string
  readonly secure_scheme_headers: Readonly<Record<string, string>>
  readonly forwarder_headers: string
  readonly forwarded_headers: 'off' | 'x-forwarded' | 'forwarded'
  readonly root_path: string
  readonly proxy_protocol: 'off' | 'v1' | 'v2' | 'auto'
  readonly proxy_allow_ips: string
}

/** The rules with their lists read; a program that starts an engine without these settings trusts nobody. */
export function rulesOf(config: Partial<RulesConfig>, env: NodeJS.ProcessEnv = process.env) {
  if (!isComplete(config)) return undefined
  return {
    permitUnconventionalHttpMethod: config.permit_unconventional_http_method,
    casefoldHttpMethod: config.casefold_http_method,
    headerMap: config.header_map,
    forwardedAllowIps: config.forwarded_allow_ips,
    secureSchemeHeaders: Object.entries(config.secure_scheme_headers).flat(),
    forwarderHeaders: splitNames(config.forwarder_headers),
    forwardedHeaders: config.forwarded_headers,
    rootPath: config.root_path === '' ? (env.SCRIPT_NAME ?? '') : config.root_path,
    proxyProtocol: config.proxy_protocol,
    proxyAllowIps: config.proxy_allow_ips,
  }
}

export type EngineRules = NonNullable<ReturnType<typeof rulesOf>>

function isComplete(config: Partial<RulesConfig>): config is RulesConfig {
  return config.forwarded_allow_ips !== undefined
}
