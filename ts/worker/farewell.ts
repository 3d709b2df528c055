/**
 * What the application does by itself when its worker is told to stop. On node a program that listens to TERM ends when it
 * says so, or when nothing is left to do; so it does here, within `graceful_timeout`.
 */
import type { System } from '../process/system.ts'

/** Resolves when the application has done what it does at TERM; undefined where it does not listen. */
export function farewellOf(system: System): Promise<void> | undefined {
  // One is the worker's.
  if (system.listeners('SIGTERM') < 2) return undefined
  return new Promise((done) => {
    system.onIdle(done)
    // Many take their listener away when they are done, and send the signal again to end as without it.
    system.onSignal('TERM', () => {
      if (system.listeners('SIGTERM') === 2) done()
    })
  })
}
