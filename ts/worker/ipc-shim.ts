/**
 * What node:cluster and pm2 give to a program by its parent, for programs that use it without
 * looking.
 */

import { inspect } from 'node:util'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'

/** The message of pm2's `wait_ready`. Monoceros notices `listen()` instead. */
const READY_MESSAGE = 'ready'
/** Length of a message in the log, in characters. */
const MAX_MESSAGE_LENGTH = 100

/**
 * Adds `process.send` and `process.disconnect`, without a process on the other side. The first
 * message that is discarded is logged.
 */
export function installIpcShim(log: () => Logger | undefined): void {
  let hasWarned = false
  const send = (...args: unknown[]): boolean => {
    const [message] = args
    const logger = log()
    if (message !== READY_MESSAGE && !hasWarned && logger !== undefined) {
      hasWarned = true
      logLine(logger, 'parentMessageDiscarded', formatMessage(message))
    }
    const callback = args.at(-1)
    if (typeof callback === 'function') queueMicrotask(() => callback(null))
    return true
  }
  const disconnect = (): void => {
    if (!process.connected) return
    Object.assign(process, { connected: false })
    process.nextTick(() => {
      process.emit('disconnect')
      Reflect.get(process.getBuiltinModule('node:cluster'), 'worker')?.emit('disconnect')
    })
  }
  Object.assign(process, { send, disconnect, connected: true })
}

function formatMessage(message: unknown): string {
  const text = inspect(message, { depth: 1, breakLength: Number.POSITIVE_INFINITY, compact: true })
  return text.length > MAX_MESSAGE_LENGTH ? `${text.slice(0, MAX_MESSAGE_LENGTH)}...` : text
}
