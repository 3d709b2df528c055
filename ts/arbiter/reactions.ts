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
  | 'takingOver'
  /** WINCH has taken all workers away. */
  | 'paused'
  /** WINCH has taken all workers away, and a new arbiter serves. */
  | 'pausedForSuccessor'
  | 'stopping'

export type Reaction =
  | 'stop'
  | 'quit'
  /** Shortens what is left of a graceful stop. */
  | 'quitWorkers'
  | 'reload'
  | 'addWorker'
  | 'removeWorker'
  | 'reopenLogs'
  | 'upgrade'
  /** All workers leave, the arbiter stays. */
  | 'pauseWorkers'
  /** The workers come back as they were. */
  | 'resumeWorkers'
  /** The workers come back, and a reload follows. */
  | 'resumeAndReload'
  /** Done as soon as the phase allows it; several of one kind are done once. */
  | 'defer'
  /** A line says why not. */
  | 'refuse'
  | 'ignore'

/** The meanings that a phase decides about; the two others are not signals to the arbiter. */
export type SignalRequest = Exclude<ArbiterRole, 'reap' | 'default'>

const ALWAYS = {
  stop: 'stop',
  quit: 'quit',
  addWorker: 'addWorker',
  removeWorker: 'removeWorker',
  reopenLogs: 'reopenLogs',
} as const

export const REACTIONS: Readonly<Record<Phase, Readonly<Record<SignalRequest, Reaction>>>> = {
  starting: { ...ALWAYS, reload: 'defer', upgrade: 'defer', pauseWorkers: 'defer' },
  serving: { ...ALWAYS, reload: 'reload', upgrade: 'upgrade', pauseWorkers: 'pauseWorkers' },
  reloading: { ...ALWAYS, reload: 'defer', upgrade: 'defer', pauseWorkers: 'defer' },
  upgrading: { ...ALWAYS, reload: 'refuse', upgrade: 'refuse', pauseWorkers: 'pauseWorkers' },
  takingOver: { ...ALWAYS, reload: 'reload', upgrade: 'refuse', pauseWorkers: 'pauseWorkers' },
  paused: {
    ...ALWAYS,
    removeWorker: 'ignore',
    reload: 'resumeAndReload',
    upgrade: 'upgrade',
    pauseWorkers: 'ignore',
  },
  pausedForSuccessor: {
    ...ALWAYS,
    removeWorker: 'ignore',
    reload: 'resumeWorkers',
    upgrade: 'refuse',
    pauseWorkers: 'ignore',
  },
  stopping: {
    stop: 'ignore',
    quit: 'quitWorkers',
    reload: 'ignore',
    addWorker: 'ignore',
    removeWorker: 'ignore',
    reopenLogs: 'reopenLogs',
    upgrade: 'ignore',
    pauseWorkers: 'ignore',
  },
}
