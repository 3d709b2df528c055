/** Syslog output of both logs in Gunicorn's format: `<PRI>gunicorn.NAME.error: [pid] message`. */

import { basename } from 'node:path'

import { processId } from '../process/system.ts'
import type { LogLevel } from './levels.ts'
import { type LogSocket, openLogSocket } from './log-socket.ts'

/** Settings of syslog. */
export interface SyslogOptions {
  readonly syslog: boolean
  readonly syslog_addr: string
  readonly syslog_prefix: string | null
  readonly syslog_facility: string
  readonly proc_name: string | null
  readonly app: string | null
  readonly disable_redirect_access_to_syslog: boolean
}

// Facility codes of RFC 5424 section 6.2.1, with the names of syslog(3). "security" is an old name
// of "auth".
const FACILITY_CODES: Readonly<Record<string, number>> = {
  auth: 4,
  authpriv: 10,
  cron: 9,
  daemon: 3,
  ftp: 11,
  kern: 0,
  lpr: 6,
  mail: 2,
  news: 7,
  security: 4,
  syslog: 5,
  user: 1,
  uucp: 8,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
}
const USER_FACILITY = 1

/** Valid values of `syslog_facility`. */
export const FACILITIES = Object.keys(FACILITY_CODES)

const SEVERITIES: Readonly<Record<LogLevel, number>> = {
  debug: 7,
  info: 6,
  warning: 4,
  error: 3,
  critical: 2,
}

/** Returns whether a text is a valid `syslog_addr`: `udp://`, `tcp://` or `unix://`. */
export function isSyslogAddress(text: string): boolean {
  return /^(?:udp|tcp):\/\/(?:[^/:\s]+|\[[\da-f:.]+\]):\d{1,5}$|^unix:\/\/.+/i.test(text)
}

/** Sends lines of the error log to syslog. */
export class SyslogClient {
  readonly #socket: LogSocket
  readonly #options: SyslogOptions

  constructor(options: SyslogOptions) {
    this.#options = options
    this.#socket = openLogSocket('syslog_addr', options.syslog_addr)
  }

  send(level: LogLevel, text: string, pid = processId()): void {
    const message = formatHead(this.#options, { log: 'error', level, pid }) + text
    // `#012` is how rsyslog writes a line feed inside a line. Older daemons read the text of a
    // datagram up to a NUL.
    this.#socket.send(this.#socket.isStream ? message.replaceAll('\n', '#012') : `${message}\0`)
  }

  close(): void {
    this.#socket.close()
  }
}

/**
 * Returns the address and the line prefix of the access log in syslog; undefined if it does not go
 * there.
 */
export function resolveAccessSyslog(
  options: Partial<SyslogOptions>,
): { address: string; head: string } | undefined {
  const { syslog, disable_redirect_access_to_syslog: disabled, syslog_addr: address } = options
  if (syslog !== true || disabled === true || address === undefined) return undefined
  const head = formatHead(options, { log: 'access', level: 'info', pid: processId() })
  return { address, head }
}

function formatHead(
  options: Partial<SyslogOptions>,
  { log, level, pid }: { log: 'error' | 'access'; level: LogLevel; pid: number },
): string {
  const facility = FACILITY_CODES[options.syslog_facility ?? ''] ?? USER_FACILITY
  return `<${facility * 8 + SEVERITIES[level]}>gunicorn.${loggerName(options)}.${log}: [${pid}] `
}

// A tag ends at the first colon or space (RFC 3164 section 4.1.3).
function loggerName({
  syslog_prefix: prefix,
  proc_name: name,
  app,
}: Partial<SyslogOptions>): string {
  return (prefix ?? name ?? basename(app ?? 'monoceros')).replace(/[^\w.-]/g, '.')
}
