/**
 * Errors of the application that nobody caught. The program's own listeners come first; without any the client in
 * hand gets a 500, the log gets the stack, and the worker goes on.
 */

import { respondToRejection, respondToThrow } from '../http/node/errors.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'

export interface UncaughtHandlers {
  readonly onBoot: (thrown: unknown) => void
  /** After the boot; it has been logged and answered. */
  readonly onUncaught: () => void
}

/** Begins to listen; `onBoot` takes what is thrown until the returned function says that the worker is ready. */
export function handleUncaughtErrors(
  system: System,
  log: Logger,
  { onBoot, onUncaught }: UncaughtHandlers,
): () => void {
  let booting = true
  const others = (event: 'uncaughtException' | 'unhandledRejection') =>
    system.countListeners(event) > 1
  system.onUncaught((thrown) => {
    if (others('uncaughtException')) return
    if (booting) return onBoot(thrown)
    respondToThrow()
    logThrown(log, { name: 'uncaughtError', thrown })
    onUncaught()
  })
  system.onRejection((reason, promise) => {
    if (others('unhandledRejection')) return
    // Without a listener for rejections node gives them to those for exceptions.
    if (others('uncaughtException')) return system.emitUncaught(reason)
    if (booting) return onBoot(reason)
    respondToRejection(promise)
    logThrown(log, { name: 'unhandledRejection', thrown: reason })
    onUncaught()
  })
  return () => {
    booting = false
  }
}
