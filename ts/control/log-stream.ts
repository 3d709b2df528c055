/**
 * The lines of the command `logs`: the end of the log file and what is appended to it, or the lines
 * that the arbiter itself has logged, where the log is no file.
 */

import { open } from 'node:fs/promises'

import { LineSplitter } from '../log/lines.ts'
import type { RecentLines } from '../log/recent-lines.ts'
import type { System } from '../process/system.ts'

/** Where the lines come from. */
export interface LogSource {
  /** Absolute path of the log file; undefined if the log is written to standard error. */
  readonly path: string | undefined
  readonly recent: RecentLines
}

/** Where the lines are sent. */
export interface LogReceiver {
  readonly follows: boolean
  /** Returns whether the client has read what was sent. */
  canSend(): boolean
  send(lines: readonly string[]): void
  /** Called once at the end, with the error that ended it. */
  end(error?: string): void
}

/** How much of the end of a log file is sent. */
const TAIL_BYTES = 16 * 1024
/** How much of a file is read and sent at once. */
const CHUNK_BYTES = 64 * 1024
const LINE_FEED = 10
/** Interval between two looks at the file. */
const POLL_MS = 250
/** Lines that are kept for a slow client; further ones are dropped. */
const MAX_PENDING_LINES = 1_000

/** Sends lines until the returned function is called, or once without `follows`. */
export function followLog(system: System, source: LogSource, receiver: LogReceiver): () => void {
  return source.path === undefined
    ? followRecent(system, source.recent, receiver)
    : followFile(system, source.path, receiver)
}

function followRecent(system: System, recent: RecentLines, receiver: LogReceiver): () => void {
  receiver.send(recent.list())
  if (!receiver.follows) {
    receiver.end()
    return () => {}
  }
  let pending: string[] = []
  let dropped = 0
  const stopObserving = recent.observe((line) => {
    if (pending.length < MAX_PENDING_LINES) pending.push(line)
    else dropped += 1
  })
  const stopPolling = system.every(POLL_MS, () => {
    if (pending.length === 0 || !receiver.canSend()) return
    const lines = dropped === 0 ? pending : [...pending, `(${dropped} lines were dropped)`]
    pending = []
    dropped = 0
    receiver.send(lines)
  })
  return () => {
    stopObserving()
    stopPolling()
  }
}

function followFile(system: System, path: string, receiver: LogReceiver): () => void {
  let position: { readonly ino: number; readonly offset: number } | undefined
  let isReading = false
  let isStopped = false
  let lines: string[] = []
  const splitter = new LineSplitter((line) => lines.push(line))
  const read = async () => {
    const chunk = await readChunk(path, position)
    if (isStopped) return
    position = chunk
    splitter.push(chunk.text)
    if (!receiver.follows) splitter.flush()
    if (lines.length > 0) receiver.send(lines)
    lines = []
  }
  const poll = async () => {
    if (isReading || !receiver.canSend()) return
    isReading = true
    try {
      await read()
      if (!receiver.follows) finish()
    } catch (error) {
      finish(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    } finally {
      isReading = false
    }
  }
  const stopPolling = system.every(POLL_MS, () => void poll())
  const stop = () => {
    isStopped = true
    stopPolling()
  }
  const finish = (error?: string) => {
    if (isStopped) return
    stop()
    receiver.end(error)
  }
  void poll()
  return stop
}

/** Reads on from a position; a file that was replaced or cut is read from its start. */
async function readChunk(
  path: string,
  position: { readonly ino: number; readonly offset: number } | undefined,
): Promise<{ readonly ino: number; readonly offset: number; readonly text: string }> {
  const file = await open(path, 'r')
  try {
    const { ino, size } = await file.stat()
    const isSame = position?.ino === ino && position.offset <= size
    const start = position === undefined ? Math.max(0, size - TAIL_BYTES) : 0
    const offset = isSame ? position.offset : start
    const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, size - offset))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset)
    // A line that is still being written is read with the next chunk.
    const complete = buffer.lastIndexOf(LINE_FEED, bytesRead) + 1
    const length = complete === 0 ? bytesRead : complete
    const text = buffer.toString('utf8', 0, length)
    // The tail begins within a line.
    const isCut = position === undefined && offset > 0
    return {
      ino,
      offset: offset + length,
      text: isCut ? text.slice(text.indexOf('\n') + 1) : text,
    }
  } finally {
    await file.close()
  }
}
