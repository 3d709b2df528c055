/**
 * How the TypeScript engine parses requests: the settings about proxies and header names, with
 * their lists read.
 */
import type { EngineSettings } from '../settings/engine.ts'
import { splitNames } from '../settings/kinds.ts'

export interface ParsePolicy
  extends Pick<EngineSettings, 'forwarded_allow_ips' | 'forwarded_headers' | 'header_map'> {
  readonly forwarder_headers: readonly string[]
  /** Pairs of a header name and the value that means https. */
  readonly secure_scheme_headers: readonly (readonly [string, string])[]
  readonly root_path: string
}

/** Reads the lists among the settings. */
export function parsePolicyOf(config: EngineSettings): ParsePolicy {
  return {
    forwarded_allow_ips: config.forwarded_allow_ips,
    forwarded_headers: config.forwarded_headers,
    header_map: config.header_map,
    forwarder_headers: splitNames(config.forwarder_headers),
    secure_scheme_headers: Object.entries(config.secure_scheme_headers),
    root_path: rootPathOf(config),
  }
}

/**
 * Returns the path under which the application is mounted: `root_path`, else the variable
 * SCRIPT_NAME as in WSGI.
 */
export function rootPathOf(
  { root_path: path }: Pick<EngineSettings, 'root_path'>,
  env: NodeJS.ProcessEnv = process.env,
): string {
  return path === '' ? (env.SCRIPT_NAME ?? '') : path
}
