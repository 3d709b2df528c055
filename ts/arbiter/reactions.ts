/**
 * The arbiter's reaction to a signal, by the phase that the arbiter is in, as a table.
 * `ts/signals.ts` gives each signal its role. `docs/signals.md` shows this table.
 */

import type { ArbiterRole } from '../signals.ts'

/** Phase of the arbiter. */
export type Phase =
  /** No worker has been ready yet. */
  | 'starting'
  | 'serving'
  /** A reload is in progress. */
  | 'reloading'
  /** An upgrade has started a new arbiter, and both serve. */
  | 'upgrading'
  /** This is the new arbiter, and the one that started it is still running. */
  | 'takingOver'
  /** WINCH has stopped all workers. */
  | 'paused'
  /** WINCH has stopped all workers, and a new arbiter serves. */
  | 'pausedForSuccessor'
  | 'stopping'

/** What the arbiter does about a signal. */
export type Reaction =
  | 'stop'
  | 'quit'
  /** Turns a graceful stop into a quick one. */
  | 'quitWorkers'
  | 'reload'
  | 'addWorker'
  | 'removeWorker'
  | 'reopenLogs'
  | 'upgrade'
  /** Stops all workers; the arbiter stays. */
  | 'pauseWorkers'
  /** Starts the workers again with the settings that they had. */
  | 'resumeWorkers'
  /** Starts the workers again and reloads. */
  | 'resumeAndReload'
  /** Carries the request out as soon as the phase allows it; repeated requests count once. */
  | 'defer'
  /** Logs why the request is refused. */
  | 'refuse'
  | 'ignore'

/** Roles that a reaction is defined for. `reap` and `default` never arrive as signals. */
export type SignalRequest = Exclude<ArbiterRole, 'reap' | 'default'>

const ALWAYS = {
  stop: 'stop',
  quit: 'quit',
  addWorker: 'addWorker',
  removeWorker: 'removeWorker',
  reopenLogs: 'reopenLogs',
} as const

/** The reaction to each role of a signal, by phase. */
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

/** Returns why a phase ignores a signal, for the log. */
export function whyIgnored(phase: Phase): string {
  if (phase === 'stopping') return 'the arbiter is stopping'
  if (phase === 'paused' || phase === 'pausedForSuccessor') return 'all workers are stopped'
  return 'this is not a daemon, and no new arbiter is serving'
}
