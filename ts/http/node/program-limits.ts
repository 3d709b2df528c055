/**
 * Reads the limits that an application sets on its server. A setting that the operator gave takes
 * precedence over them, and they take precedence over our defaults. On node zero means no limit.
 * Here it keeps our limit, since no client may hold a connection forever.
 */
import http from 'node:http'
import { nodeMajor, serverInternals } from './internals.ts'

type LimitName =
  | 'keepAliveTimeout'
  | 'headersTimeout'
  | 'requestTimeout'
  | 'maxHeadersCount'
  | 'maxRequestsPerSocket'

/** A server with the defaults of the running Node. */
export const defaultServer = http.createServer()

/** The names of the settings that the operator gave, by flag, environment or file. */
export type GivenSettings = ReadonlySet<string>

/**
 * The limits of an application's server. Undefined: the application has not set it, or the operator
 * gave a setting.
 */
export interface ProgramLimits {
  /** `keepAliveTimeout`, in seconds. */
  readonly keepalive: number | undefined
  /** `keepAliveTimeoutBuffer`, in seconds: what node adds to `keepAliveTimeout`. */
  readonly keepaliveGrace: number
  /** `headersTimeout`, in seconds. */
  readonly headerTimeout: number | undefined
  /** `requestTimeout`, in seconds. */
  readonly bodyTimeout: number | undefined
  /** `maxHeadersCount`. */
  readonly fields: number | undefined
  /**
   * `maxHeaderSize`, in bytes. It limits the whole head; node has no limits for a single line or
   * field.
   */
  readonly headBytes: number | undefined
  /** `httpAllowHalfOpen`: a client that has ended its side still gets its responses. */
  readonly halfOpen: true | undefined
}

/**
 * The time that node adds to `keepAliveTimeout` in versions without the option
 * `keepAliveTimeoutBuffer`.
 */
export const KEEP_ALIVE_BUFFER_MS = 1_000

/**
 * Whether node refuses a request with more fields than `maxHeadersCount`. Before Node 22 it drops
 * the excess fields.
 */
export const REFUSES_EXTRA_FIELDS = nodeMajor >= 22

/**
 * Returns the limits that an application has set. `keepalive` is the setting, in seconds, which the
 * server shows as its `keepAliveTimeout` if the application has set none.
 */
export function programLimits(
  server: http.Server,
  { keepalive, given }: { keepalive: number; given: GivenSettings },
): ProgramLimits {
  const limit = (name: LimitName, setting: string): number | undefined =>
    given.has(setting) ? undefined : changedLimit(server, name)
  const shownMs = limit('keepAliveTimeout', 'keepalive')
  const keepAliveMs = shownMs === keepalive * 1_000 ? undefined : shownMs
  const bufferMs = serverInternals(server).keepAliveTimeoutBuffer ?? KEEP_ALIVE_BUFFER_MS
  return {
    keepalive: toSeconds(keepAliveMs),
    keepaliveGrace: keepAliveMs === undefined ? 0 : bufferMs / 1_000,
    headerTimeout: toSeconds(limit('headersTimeout', 'header_timeout')),
    bodyTimeout: toSeconds(limit('requestTimeout', 'body_timeout')),
    fields: limit('maxHeadersCount', 'limit_request_fields'),
    headBytes: maxHeadBytes(server, given),
    halfOpen: serverInternals(server).httpAllowHalfOpen === true || undefined,
  }
}

/** Node's default of `--max-http-header-size`. */
const DEFAULT_HEAD_BYTES = 16_384

/**
 * The `maxHeaderSize` of `createServer`, or the value of Node's `--max-http-header-size`. Either of
 * two settings of the operator replaces it.
 */
function maxHeadBytes(server: http.Server, given: GivenSettings): number | undefined {
  if (given.has('limit_request_line') || given.has('limit_request_field_size')) return undefined
  const { maxHeaderSize = 0 } = serverInternals(server)
  if (maxHeaderSize > 0) return maxHeaderSize
  return http.maxHeaderSize === DEFAULT_HEAD_BYTES ? undefined : http.maxHeaderSize
}

/**
 * The value of a limit that differs from node's default; undefined if it does not, or means no
 * limit.
 */
export function changedLimit(server: http.Server, name: LimitName): number | undefined {
  const value = server[name]
  if (typeof value !== 'number' || value <= 0 || value === defaultServer[name]) return undefined
  return value
}

function toSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000
}
