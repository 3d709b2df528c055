// A program that a benchmark has started: waits for it, and its end.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

export interface Started {
  readonly child: ChildProcess
  /** What it has written, or the end of that. */
  readonly log: string
}

const SHOWN_CHARACTERS = 4_000

/** Asks until the answer is true. Throws after the limit, and when the program has exited. */
export async function until(
  ask: () => boolean | Promise<boolean>,
  started: Started,
  { limitMs, pollMs = 20 }: { readonly limitMs: number; readonly pollMs?: number },
): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await ask())) {
    if (performance.now() > deadline || started.child.exitCode !== null) {
      throw new TypeError(`the server does not get ready:\n${started.log.slice(-SHOWN_CHARACTERS)}`)
    }
    await pause(pollMs)
  }
}

/** Stops the program by TERM, and waits until it has exited. */
export async function end({ child }: Started): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
