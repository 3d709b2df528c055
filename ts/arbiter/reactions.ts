/**
 * What the arbiter does about a signal in which phase of its life: the table that the loop looks up. The signals'
 * meanings are those of `ts/signals.ts`; `docs/signals.md` shows this table too.
 */

import type { ArbiterRole } from '../signals.ts'

export type Phase =
  /** No worker has been ready yet. */
  | 'starting'
  | 'serving'
  /** A reload is under way. */
  | 'reloading'
  /** A new arbiter lives beside this one; both serve. */
  | 'upgrading'
  /** This is the new arbiter, and the one that started it lives. */
  | 'succeeding'
  /** WINCH has taken all workers away. */
  | 'resting'
  /** WINCH has taken all workers away, and a new arbiter serves. */
  | 'relieved'
  | 'stopping'

export type Reaction =
  | 'stop'
  | 'quit'
  /** Shortens what is left of a graceful stop. */
  | 'hurry'
  | 'reload'
  | 'more'
  | 'fewer'
  | 'reopen'
  | 'upgrade'
  /** All workers leave, the arbiter stays. */
  | 'rest'
  /** The workers come back as they were. */
  | 'wake'
  /** The workers come back, and a reload follows. */
  | 'wakeAndReload'
  /** Done as soon as the phase allows it; several of one kind are done once. */
  | 'remember'
  /** A line says why not. */
  | 'refuse'
  | 'ignore'

/** The meanings that a phase decides about; the two others are not signals to the arbiter. */
export type Request = Exclude<ArbiterRole, 'reap' | 'default'>

const ALWAYS = {
  stop: 'stop',
  quit: 'quit',
  more: 'more',
  fewer: 'fewer',
  reopen: 'reopen',
} as const

export const REACTIONS: Readonly<Record<Phase, Readonly<Record<Request, Reaction>>>> = {
  starting: { ...ALWAYS, reload: 'remember', upgrade: 'remember', rest: 'remember' },
  serving: { ...ALWAYS, reload: 'reload', upgrade: 'upgrade', rest: 'rest' },
  reloading: { ...ALWAYS, reload: 'remember', upgrade: 'remember', rest: 'remember' },
  upgrading: { ...ALWAYS, reload: 'refuse', upgrade: 'refuse', rest: 'rest' },
  succeeding: { ...ALWAYS, reload: 'reload', upgrade: 'refuse', rest: 'rest' },
  resting: {
    ...ALWAYS,
    fewer: 'ignore',
    reload: 'wakeAndReload',
    upgrade: 'upgrade',
    rest: 'ignore',
  },
  relieved: { ...ALWAYS, fewer: 'ignore', reload: 'wake', upgrade: 'refuse', rest: 'ignore' },
  stopping: {
    stop: 'ignore',
    quit: 'hurry',
    reload: 'ignore',
    more: 'ignore',
    fewer: 'ignore',
    reopen: 'reopen',
    upgrade: 'ignore',
    rest: 'ignore',
  },
}
