/**
 * The access log of the TypeScript engine, and what it tells statsd: lines are collected and written off the event loop's
 * hot path.
 */

import { createRequire } from 'node:module'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { type AccessEntry, compileAccessFormat } from './access-format.ts'
import { openForAppending } from './append.ts'
import { type LogSocket, openLogSocket } from './log-socket.ts'
import { RequestMetrics, type StatsdOptions, statsdTarget } from './statsd.ts'
import { accessSyslog, type SyslogOptions } from './syslog.ts'

export type { AccessEntry } from './access-format.ts'

export interface AccessLog {
  log(entry: AccessEntry): void
  /** Writes what is collected, before an exit. */
  flush(): void
  /** Opens the file by its name again, after it was moved; when that fails the old one stays. */
  reopen(): void
}

export interface AccessOptions extends Partial<SyslogOptions>, Partial<StatsdOptions> {
  /** A path, standard output (`-`) or an inherited descriptor (`fd://N`). */
  readonly accesslog: string | null
  readonly access_log_format: string
}

/** Opens what the settings ask for; undefined when nobody wants to know of requests. */
export function openAccessLog(options: AccessOptions): AccessLog | undefined {
  const { accesslog, access_log_format: format } = options
  const syslog = accessSyslog(options)
  const target = statsdTarget(options)
  if (accesslog === null && syslog === undefined && target === undefined) return undefined
  const line = compileAccessFormat(format)
  const file = accesslog === null ? undefined : openAccessLogFile(accesslog)
  const figures = target === undefined ? undefined : new RequestMetrics(target)
  const outlet = syslog === undefined ? undefined : openLogSocket('syslog_addr', syslog.address)
  return {
    log(entry) {
      figures?.recordRequest(entry.status, entry.durationUs / 1_000)
      if (file === undefined && outlet === undefined) return
      const text = line(entry)
      file?.write(`${text}\n`)
      if (outlet !== undefined) sendAccessLine(outlet, `${syslog?.head}${text}`)
    },
    flush() {
      file?.flush()
      figures?.flush()
    },
    reopen: () => file?.reopen(),
  }
}

// Older daemons take a datagram's text up to a NUL, and Gunicorn sends one.
function sendAccessLine(outlet: LogSocket, line: string): void {
  outlet.send(outlet.isStream ? line : `${line}\0`)
}

interface AccessLogFile {
  write(line: string): void
  flush(): void
  reopen(): void
}

function openAccessLogFile(target: string): AccessLogFile {
  let boom = openBoom(target)
  // Collected here: sonic-boom counts the bytes of all that it has collected with every line.
  let lines = ''
  let timer: NodeJS.Timeout | undefined
  const hand = () => {
    clearTimeout(timer)
    timer = undefined
    const text = lines
    lines = ''
    if (text !== '') boom.write(text)
  }
  const flush = () => {
    hand()
    try {
      boom.flushSync()
    } catch {
      // Not open yet or already closed: then nothing of ours waits in it.
    }
  }
  return {
    write: (line) => {
      lines += line
      if (lines.length >= MAX_BATCH_BYTES) hand()
      else timer ??= setTimeout(hand, MAX_BATCH_MS).unref()
    },
    flush,
    reopen: () => {
      if (openDescriptorOf(target) !== undefined) return
      const next = openBoom(target)
      flush()
      // What is on its way to the old file is still written there.
      boom.end()
      boom = next
    },
  }
}

const STDOUT_FD = 1
// With a line more it is below what sonic-boom writes at once (16 KiB), nearly always.
const MAX_BATCH_BYTES = 8_192
const MAX_BATCH_MS = 100
// Beyond this the disk or the reader does not keep up: lines are dropped, not memory.
const MAX_UNWRITTEN_BYTES = 8 * 1024 * 1024

function openBoom(target: string): SonicBoom {
  const { SonicBoom } = createRequire(import.meta.url)('sonic-boom') as typeof import('sonic-boom')
  const boom = new SonicBoom({
    fd: openDescriptorOf(target) ?? openFile(target),
    maxLength: MAX_UNWRITTEN_BYTES,
    sync: false,
  })
  // A reader that has gone must not end a worker that still serves.
  boom.on('error', () => {})
  return boom
}

/** What is open already and has no name to be opened by. */
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
