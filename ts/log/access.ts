/**
 * Access log of the TypeScript engine, and its request metrics for statsd. Lines are collected, and
 * written outside of the request's own turn.
 */

import { createRequire } from 'node:module'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { type AccessEntry, compileAccessFormat } from './access-format.ts'
import { openForAppending } from './append.ts'
import { type LogSocket, openLogSocket } from './log-socket.ts'
import { RequestMetrics, resolveStatsdTarget, type StatsdOptions } from './statsd.ts'
import { resolveAccessSyslog, type SyslogOptions } from './syslog.ts'

export type { AccessEntry } from './access-format.ts'

/** The access log of one worker. */
export interface AccessLog {
  log(entry: AccessEntry): void
  /** Writes the collected lines, before an exit. */
  flush(): void
  /**
   * Opens the file by its name again, after it was moved. If that fails, the open file stays in
   * use.
   */
  reopen(): void
}

/** Settings of the access log. */
export interface AccessOptions extends Partial<SyslogOptions>, Partial<StatsdOptions> {
  /** A path, `-` for standard output, or an inherited descriptor (`fd://N`). */
  readonly accesslog: string | null
  readonly access_log_format: string
}

/** Opens the targets of the settings; returns undefined if there is none. */
export function openAccessLog(options: AccessOptions): AccessLog | undefined {
  const { accesslog, access_log_format: format } = options
  const syslog = resolveAccessSyslog(options)
  const target = resolveStatsdTarget(options)
  if (accesslog === null && syslog === undefined && target === undefined) return undefined
  const line = compileAccessFormat(format)
  const file = accesslog === null ? undefined : openAccessLogFile(accesslog)
  const metrics = target === undefined ? undefined : new RequestMetrics(target)
  const socket = syslog === undefined ? undefined : openLogSocket('syslog_addr', syslog.address)
  return {
    log(entry) {
      metrics?.recordRequest(entry.status, entry.durationUs / 1_000)
      if (file === undefined && socket === undefined) return
      const text = line(entry)
      file?.write(`${text}\n`)
      if (socket !== undefined) sendAccessLine(socket, `${syslog?.head}${text}`)
    },
    flush() {
      file?.flush()
      metrics?.flush()
    },
    reopen: () => file?.reopen(),
  }
}

// Older daemons read the text of a datagram up to a NUL, and Gunicorn sends one.
function sendAccessLine(socket: LogSocket, line: string): void {
  socket.send(socket.isStream ? line : `${line}\0`)
}

interface AccessLogFile {
  write(line: string): void
  flush(): void
  reopen(): void
}

function openAccessLogFile(target: string): AccessLogFile {
  let boom = openBoom(target)
  // Collected here, because sonic-boom computes the byte length of everything it holds with every
  // line.
  let lines = ''
  let timer: NodeJS.Timeout | undefined
  const writeBatch = () => {
    clearTimeout(timer)
    timer = undefined
    const text = lines
    lines = ''
    if (text !== '') boom.write(text)
  }
  const flush = () => {
    writeBatch()
    try {
      boom.flushSync()
    } catch {
      // The file is not open yet, or is closed: sonic-boom holds no lines then.
    }
  }
  return {
    write: (line) => {
      lines += line
      if (lines.length >= MAX_BATCH_BYTES) writeBatch()
      else timer ??= setTimeout(writeBatch, MAX_BATCH_MS).unref()
    },
    flush,
    reopen: () => {
      if (openDescriptorOf(target) !== undefined) return
      const next = openBoom(target)
      flush()
      // Lines that are being written still go to the old file.
      boom.end()
      boom = next
    },
  }
}

const STDOUT_FD = 1
// With one more line this nearly always fits in what sonic-boom writes at once (16 KiB).
const MAX_BATCH_BYTES = 8_192
const MAX_BATCH_MS = 100
// Beyond this size the disk or the reader is too slow, and lines are dropped.
const MAX_UNWRITTEN_BYTES = 8 * 1024 * 1024

function openBoom(target: string): SonicBoom {
  const require = createRequire(import.meta.url)
  const { SonicBoom }: typeof import('sonic-boom') = require('sonic-boom')
  const boom = new SonicBoom({
    fd: openDescriptorOf(target) ?? openFile(target),
    maxLength: MAX_UNWRITTEN_BYTES,
    sync: false,
  })
  // A reader that has closed the pipe must not stop a worker that is serving.
  boom.on('error', () => {})
  return boom
}

/** Returns the descriptor of a target that is open already and has no path. */
function openDescriptorOf(target: string): number | undefined {
  if (target === '-') return STDOUT_FD
  return target.startsWith('fd://') ? Number(target.slice('fd://'.length)) : undefined
}

function openFile(path: string): number {
  try {
    return openForAppending(path)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_FILE', 'accesslog', path, problem).withCause(cause)
  }
}
