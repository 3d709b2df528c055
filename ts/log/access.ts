/** The access log of the TypeScript engine: lines are collected and written off the event loop's hot path. */

import { openSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { SonicBoom } from 'sonic-boom'

import { monocerosError } from '../errors.ts'
import { type AccessEntry, compileAccessFormat } from './access-format.ts'

export type { AccessEntry } from './access-format.ts'

export interface AccessLog {
  log(entry: AccessEntry): void
  /** Writes what is collected, before an exit. */
  flush(): void
  /** Opens the file by its name again, after it was moved; when that fails the old one stays. */
  reopen(): void
}

/** Opens the access log at a path or at standard output (`-`). */
export function openAccessLog(target: string, format: string): AccessLog {
  const line = compileAccessFormat(format)
  let boom = openBoom(target)
  const flush = () => {
    try {
      boom.flushSync()
    } catch {
      // Not open yet or already closed: then nothing of ours waits in it.
    }
  }
  return {
    log: (entry) => void boom.write(`${line(entry)}\n`),
    flush,
    reopen: () => {
      if (target === '-') return
      const next = openBoom(target)
      flush()
      // What is on its way to the old file is still written there.
      boom.end()
      boom = next
    },
  }
}

const STDOUT_FD = 1
// Below what sonic-boom writes at once (16 KiB), as it demands.
const COLLECT_BYTES = 8_192
const COLLECT_MS = 100
// Beyond this the disk or the reader does not keep up: lines are dropped, not memory.
const MAX_WAITING_BYTES = 8 * 1024 * 1024

function openBoom(target: string): SonicBoom {
  const { SonicBoom } = createRequire(import.meta.url)('sonic-boom') as typeof import('sonic-boom')
  const boom = new SonicBoom({
    fd: target === '-' ? STDOUT_FD : openFile(target),
    minLength: COLLECT_BYTES,
    maxLength: MAX_WAITING_BYTES,
    periodicFlush: COLLECT_MS,
    sync: false,
  })
  // A reader that has gone must not end a worker that still serves.
  boom.on('error', () => {})
  return boom
}

function openFile(path: string): number {
  try {
    return openSync(path, 'a', 0o644)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_FILE', 'accesslog', path, problem).causedBy(cause)
  }
}
