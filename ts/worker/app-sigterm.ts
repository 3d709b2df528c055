/**
 * What the application does by itself when its worker is told to stop. On node a program that listens to TERM ends when it
 * says so, or when nothing is left to do; so it does here, within `graceful_timeout`.
 */
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'

export interface AppSigterm {
  /** Resolves when the application has done what it does at TERM. */
  waitUntilDone(): Promise<void>
  /** Nothing more is expected of it. */
  stopWaiting(): void
}

/** To be called when TERM has come; undefined where the application does not listen. */
export function watchAppSigterm(
  system: System,
  { log, limitMs }: { log: Logger | undefined; limitMs: number },
): AppSigterm | undefined {
  // One is the worker's.
  if (!appListensToTerm(system, 1)) return undefined
  let isAwaited = false
  void system.sleep(limitMs).then(() => {
    if (isAwaited && log !== undefined) logLine(log, 'appIgnoresSigterm')
  })
  let giveUp = () => {}
  const over = new Promise<void>((done) => {
    giveUp = done
    system.onIdle(() => {
      // Others may begin something at that moment, which node would do before it ends: one more turn, and it is the end
      // when nothing is left again.
      system.onIdle(done)
      system.after(0, () => {})
    })
    // Many take their listener away when they are done, and send the signal again to end as without it.
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

/** Whether the application listens to TERM beside so many listeners of ours. */
function appListensToTerm(system: System, ours: number): boolean {
  return system.countListeners('SIGTERM') > ours + countPassiveListeners()
}

/**
 * The listeners of the package signal-exit, which others bring along: they end a process to whose signals nobody else
 * listens, which a worker's is not, and so do nothing here. Its copies count themselves, up to version 3 and from 4 on.
 */
function countPassiveListeners(): number {
  const emitters: unknown[] = [
    Reflect.get(process, '__signal_exit_emitter__'),
    Reflect.get(globalThis, Symbol.for('signal-exit emitter')),
  ]
  return emitters.reduce((sum: number, emitter) => {
    const { count } = (emitter ?? {}) as { count?: unknown }
    return sum + (typeof count === 'number' ? count : 0)
  }, 0)
}
