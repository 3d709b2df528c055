/**
 * The limits that a program sets on its server. What the operator gave stands above them, and they stand above our
 * defaults. Zero is no limit on node: here it leaves ours, since nothing a client does may last for ever.
 */
import http from 'node:http'
import { nodeMajor, serverInternals } from './internals.ts'

type LimitName =
  | 'keepAliveTimeout'
  | 'headersTimeout'
  | 'requestTimeout'
  | 'maxHeadersCount'
  | 'maxRequestsPerSocket'

/** What a server of this Node has that nobody has touched. */
export const defaultServer = http.createServer()

/** The names of the settings that the operator gave, from wherever. */
export type GivenSettings = ReadonlySet<string>

/** What a program has set, in the units of the settings; undefined where it has not, or the operator has. */
export interface ProgramLimits {
  readonly keepalive: number | undefined
  readonly keepaliveGrace: number
  readonly headerTimeout: number | undefined
  readonly bodyTimeout: number | undefined
  readonly fields: number | undefined
  /** Of a whole head, of which node has no limits for a part. */
  readonly headBytes: number | undefined
  /** `httpAllowHalfOpen`: a client that has ended its side is answered all the same. */
  readonly halfOpen: true | undefined
}

/** What node adds to `keepAliveTimeout` where the version has no option for it. */
export const KEEP_ALIVE_BUFFER_MS = 1_000

/** From Node 22 on what has more fields than `maxHeadersCount` is refused; before, node drops what is beyond. */
export const REFUSES_EXTRA_FIELDS = nodeMajor >= 22

/** `keepalive` is the setting, which the server shows where nobody has set another. */
export function programLimits(
  server: http.Server,
  { keepalive, given }: { keepalive: number; given: GivenSettings },
): ProgramLimits {
  const value = (name: LimitName, setting: string): number | undefined =>
    given.has(setting) ? undefined : changedLimit(server, name)
  const shownMs = value('keepAliveTimeout', 'keepalive')
  const keepAliveMs = shownMs === keepalive * 1_000 ? undefined : shownMs
  const bufferMs = serverInternals(server).keepAliveTimeoutBuffer ?? KEEP_ALIVE_BUFFER_MS
  return {
    keepalive: seconds(keepAliveMs),
    keepaliveGrace: keepAliveMs === undefined ? 0 : bufferMs / 1_000,
    headerTimeout: seconds(value('headersTimeout', 'header_timeout')),
    bodyTimeout: seconds(value('requestTimeout', 'body_timeout')),
    fields: value('maxHeadersCount', 'limit_request_fields'),
    headBytes: headBytes(server, given),
    halfOpen: serverInternals(server).httpAllowHalfOpen === true || undefined,
  }
}

/** `maxHeaderSize` of `createServer`; the operator has two settings in its place. */
function headBytes(server: http.Server, given: GivenSettings): number | undefined {
  if (given.has('limit_request_line') || given.has('limit_request_field_size')) return undefined
  const { maxHeaderSize = 0 } = serverInternals(server)
  return maxHeaderSize > 0 ? maxHeaderSize : undefined
}

/** What the program has set a property to; undefined where it is as node made it, or no limit. */
export function changedLimit(server: http.Server, name: LimitName): number | undefined {
  const value = server[name]
  if (typeof value !== 'number' || value <= 0 || value === defaultServer[name]) return undefined
  return value
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000
}
