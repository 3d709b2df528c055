/**
 * The application's own SIGTERM listeners. On Node.js, a program with such a listener exits when it
 * calls `process.exit` or has nothing left to do. A worker waits for the same, for at most
 * `graceful_timeout`.
 */
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'

/** The wait for the application's SIGTERM listeners. */
export interface AppSigterm {
  /** Resolves when the application has finished its work on SIGTERM. */
  waitUntilDone(): Promise<void>
  /** Makes `waitUntilDone` resolve at once. */
  stopWaiting(): void
}

/** Call when SIGTERM has arrived. Returns undefined if the application has no listener for it. */
export function watchAppSigterm(
  system: System,
  { log, limitMs }: { log: Logger | undefined; limitMs: number },
): AppSigterm | undefined {
  // One listener is the worker's.
  if (!appListensToTerm(system, 1)) return undefined
  let isAwaited = false
  void system.sleep(limitMs).then(() => {
    if (isAwaited && log !== undefined) logLine(log, 'appIgnoresSigterm')
  })
  let giveUp = () => {}
  const over = new Promise<void>((done) => {
    giveUp = done
    system.onIdle(() => {
      // Other 'beforeExit' listeners may start new work, which Node.js completes before it exits.
      // The empty timer causes one more turn of the event loop; the second 'beforeExit' then means
      // that nothing is left.
      system.onIdle(done)
      system.after(0, () => {})
    })
    // Many programs remove their listener when they are done, then send SIGTERM to themselves to
    // exit by default. The worker's listener and the one here are the two that remain.
    system.onSignal('TERM', () => {
      if (!appListensToTerm(system, 2)) done()
    })
  })
  const wait = () => {
    isAwaited = true
    return over
  }
  return { waitUntilDone: wait, stopWaiting: giveUp }
}

/**
 * Whether the application has a SIGTERM listener; `ours` is the number of listeners of Monoceros.
 */
function appListensToTerm(system: System, ours: number): boolean {
  return system.countListeners('SIGTERM') > ours + countPassiveListeners()
}

/**
 * Counts the listeners of the package signal-exit, a frequent dependency. They act only in a
 * process without any other listener for the signal, so they do nothing in a worker. Each copy of
 * the package publishes its count: up to version 3 on `process`, from version 4 on under a global
 * symbol.
 */
function countPassiveListeners(): number {
  const emitters: unknown[] = [
    Reflect.get(process, '__signal_exit_emitter__'),
    Reflect.get(globalThis, Symbol.for('signal-exit emitter')),
  ]
  return emitters.reduce((sum: number, emitter) => {
    const hasCount = typeof emitter === 'object' && emitter !== null && 'count' in emitter
    return sum + (hasCount && typeof emitter.count === 'number' ? emitter.count : 0)
  }, 0)
}
