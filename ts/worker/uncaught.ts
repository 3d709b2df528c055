/**
 * Errors of the application that nobody caught. The program's own listeners come first; without any the client in
 * hand gets a 500, the log gets the stack, and the worker goes on.
 */

import { answerRejected, answerThrown } from '../http/node/errors.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'

/** Begins to listen; `onBoot` takes what is thrown until the returned function says that the worker is ready. */
export function watchUncaught(
  system: System,
  log: Logger,
  onBoot: (thrown: unknown) => void,
): () => void {
  let booting = true
  const others = (event: 'uncaughtException' | 'unhandledRejection') => system.listeners(event) > 1
  system.onUncaught((thrown) => {
    if (others('uncaughtException')) return
    if (booting) return onBoot(thrown)
    answerThrown()
    log.exception('Uncaught error in the application', thrown)
  })
  system.onRejection((reason, promise) => {
    if (others('unhandledRejection')) return
    // Without a listener for rejections node gives them to those for exceptions.
    if (others('uncaughtException')) return system.passOn(reason)
    if (booting) return onBoot(reason)
    answerRejected(promise)
    log.exception('Unhandled rejection in the application', reason)
  })
  return () => {
    booting = false
  }
}
