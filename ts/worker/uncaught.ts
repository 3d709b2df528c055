/**
 * Uncaught errors of the application. The program's own listeners take precedence. Without any, the
 * client whose request failed gets a 500, the stack is logged, and the worker continues.
 */

import { rememberClients, respondToRejection, respondToThrow } from '../http/uncaught-errors.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'

/** Who handles an uncaught error, during the boot and after it. */
export interface UncaughtHandlers {
  /** Called for an error during the boot. */
  readonly onBoot: (thrown: unknown) => void
  /** Called for an error after the boot, once it has been logged and the client has its 500. */
  readonly onUncaught: () => void
  /** Time limit of requests that an error may belong to, if its request is unknown. */
  readonly limitMs: number
}

/** Subscribes to uncaught errors; calling the returned function ends the boot. */
export function handleUncaughtErrors(
  system: System,
  log: Logger,
  { onBoot, onUncaught, limitMs }: UncaughtHandlers,
): () => void {
  let isBooting = true
  const hasOtherListeners = (event: 'uncaughtException' | 'unhandledRejection') =>
    system.countListeners(event) > 1
  system.onUncaught((thrown) => {
    if (hasOtherListeners('uncaughtException')) return
    if (isBooting) return onBoot(thrown)
    respondToThrow()
    logThrown(log, { name: 'uncaughtError', thrown })
    onUncaught()
  })
  system.onRejection((reason, promise) => {
    if (hasOtherListeners('unhandledRejection')) return
    // Without a listener for rejections, Node.js emits them as uncaught exceptions.
    if (hasOtherListeners('uncaughtException')) return system.emitUncaught(reason)
    if (isBooting) return onBoot(reason)
    respondToRejection(promise)
    logThrown(log, { name: 'unhandledRejection', thrown: reason })
    onUncaught()
  })
  return () => {
    isBooting = false
    rememberClients({ limitMs })
  }
}
