/**
 * The states of a worker as a table: for each state and event, the next state and the action of the
 * arbiter. `ts/worker/states.ts` is the same process seen from inside.
 */

/** What the arbiter knows about a worker, or has asked of it. */
export type WorkerState =
  /** The process has started and loads the application. */
  | 'booting'
  /** The application could not be loaded; the process is about to exit. */
  | 'failing'
  | 'serving'
  /**
   * The worker finishes requests in flight, by request of the arbiter or on its own. The deadline
   * is `graceful_timeout`.
   */
  | 'draining'
  /** The worker has been asked to exit at once. */
  | 'quitting'
  /** No heartbeat for `timeout`; the arbiter waits for the watcher's block report. */
  | 'blocked'
  /** ABRT has been sent after a timeout; KILL follows soon. */
  | 'aborting'
  /** The worker did not exit in time after it was asked to stop; KILL has been sent. */
  | 'killedInStop'
  /** The worker did not exit after a failed boot or ABRT; KILL has been sent. */
  | 'killedInFailure'
  | 'gone'

/** What can happen to a worker. */
export type WorkerEvent =
  | 'ready'
  | 'bootFailed'
  /** The worker stops because another process has sent it a signal. */
  | 'signaled'
  /** No heartbeat for `timeout`. */
  | 'timedOut'
  /** The watcher has reported what blocks the event loop. */
  | 'blockReported'
  /** The deadline of the current state has passed. */
  | 'deadlinePassed'
  /** The arbiter wants the worker to finish its requests and exit. */
  | 'retire'
  /** The arbiter wants the worker to exit at once. */
  | 'quit'
  | 'exit'

/** What the arbiter does about an event. */
export type WorkerAction =
  | 'ignore'
  | 'recordReady'
  | 'reportBootFailure'
  | 'handleSignaled'
  | 'sendTerm'
  /** The worker closes idle connections sooner, because no worker replaces it. */
  | 'shortenDrain'
  | 'sendQuit'
  | 'abortBoot'
  | 'awaitBlockReport'
  | 'abortBlocked'
  | 'sendKill'
  /** Logs the exit of a worker that was asked to stop. */
  | 'recordStopped'
  /** Handles the exit of a worker that was never ready. */
  | 'handleBootExit'
  /** Handles an exit that the arbiter did not ask for. */
  | 'handleCrash'

interface Transition {
  readonly nextState: WorkerState
  readonly action: WorkerAction
}

type Row = Readonly<Record<WorkerEvent, Transition>>

/** The transition for each state and event. */
export const TRANSITIONS: Readonly<Record<WorkerState, Row>> = {
  booting: {
    ready: transition('serving', 'recordReady'),
    bootFailed: transition('failing', 'reportBootFailure'),
    signaled: transition('draining', 'handleSignaled'),
    timedOut: transition('booting', 'ignore'),
    blockReported: transition('booting', 'ignore'),
    deadlinePassed: transition('aborting', 'abortBoot'),
    retire: transition('draining', 'sendTerm'),
    quit: transition('quitting', 'sendQuit'),
    exit: transition('gone', 'handleBootExit'),
  },
  failing: {
    ready: transition('failing', 'ignore'),
    bootFailed: transition('failing', 'ignore'),
    signaled: transition('failing', 'ignore'),
    timedOut: transition('failing', 'ignore'),
    blockReported: transition('failing', 'ignore'),
    deadlinePassed: transition('killedInFailure', 'sendKill'),
    retire: transition('failing', 'ignore'),
    quit: transition('quitting', 'sendQuit'),
    exit: transition('gone', 'handleBootExit'),
  },
  serving: {
    ready: transition('serving', 'ignore'),
    bootFailed: transition('serving', 'ignore'),
    signaled: transition('draining', 'handleSignaled'),
    timedOut: transition('blocked', 'awaitBlockReport'),
    blockReported: transition('serving', 'ignore'),
    deadlinePassed: transition('serving', 'ignore'),
    retire: transition('draining', 'sendTerm'),
    quit: transition('quitting', 'sendQuit'),
    exit: transition('gone', 'handleCrash'),
  },
  draining: {
    // The worker was asked to stop during its boot, and became ready before the request arrived.
    ready: transition('draining', 'ignore'),
    bootFailed: transition('draining', 'ignore'),
    signaled: transition('draining', 'ignore'),
    timedOut: transition('blocked', 'awaitBlockReport'),
    blockReported: transition('draining', 'ignore'),
    deadlinePassed: transition('killedInStop', 'sendKill'),
    retire: transition('draining', 'shortenDrain'),
    quit: transition('quitting', 'sendQuit'),
    exit: transition('gone', 'recordStopped'),
  },
  quitting: {
    ready: transition('quitting', 'ignore'),
    bootFailed: transition('quitting', 'ignore'),
    signaled: transition('quitting', 'ignore'),
    timedOut: transition('killedInStop', 'sendKill'),
    blockReported: transition('quitting', 'ignore'),
    deadlinePassed: transition('killedInStop', 'sendKill'),
    retire: transition('quitting', 'ignore'),
    // Sent again: a second signal shortens the deadline.
    quit: transition('quitting', 'sendQuit'),
    exit: transition('gone', 'recordStopped'),
  },
  killedInStop: {
    ready: transition('killedInStop', 'ignore'),
    bootFailed: transition('killedInStop', 'ignore'),
    signaled: transition('killedInStop', 'ignore'),
    timedOut: transition('killedInStop', 'ignore'),
    blockReported: transition('killedInStop', 'ignore'),
    deadlinePassed: transition('killedInStop', 'ignore'),
    retire: transition('killedInStop', 'ignore'),
    quit: transition('killedInStop', 'ignore'),
    exit: transition('gone', 'recordStopped'),
  },
  blocked: {
    ready: transition('blocked', 'ignore'),
    bootFailed: transition('blocked', 'ignore'),
    signaled: transition('blocked', 'ignore'),
    timedOut: transition('blocked', 'ignore'),
    blockReported: transition('aborting', 'abortBlocked'),
    deadlinePassed: transition('aborting', 'abortBlocked'),
    retire: transition('blocked', 'ignore'),
    quit: transition('killedInStop', 'sendKill'),
    exit: transition('gone', 'handleCrash'),
  },
  aborting: {
    ready: transition('aborting', 'ignore'),
    bootFailed: transition('aborting', 'ignore'),
    signaled: transition('aborting', 'ignore'),
    timedOut: transition('aborting', 'ignore'),
    blockReported: transition('aborting', 'ignore'),
    deadlinePassed: transition('killedInFailure', 'sendKill'),
    retire: transition('aborting', 'ignore'),
    quit: transition('killedInStop', 'sendKill'),
    exit: transition('gone', 'handleCrash'),
  },
  killedInFailure: {
    ready: transition('killedInFailure', 'ignore'),
    bootFailed: transition('killedInFailure', 'ignore'),
    signaled: transition('killedInFailure', 'ignore'),
    timedOut: transition('killedInFailure', 'ignore'),
    blockReported: transition('killedInFailure', 'ignore'),
    deadlinePassed: transition('killedInFailure', 'ignore'),
    retire: transition('killedInFailure', 'ignore'),
    quit: transition('killedInFailure', 'ignore'),
    exit: transition('gone', 'handleCrash'),
  },
  gone: {
    ready: transition('gone', 'ignore'),
    bootFailed: transition('gone', 'ignore'),
    signaled: transition('gone', 'ignore'),
    timedOut: transition('gone', 'ignore'),
    blockReported: transition('gone', 'ignore'),
    deadlinePassed: transition('gone', 'ignore'),
    retire: transition('gone', 'ignore'),
    quit: transition('gone', 'ignore'),
    exit: transition('gone', 'ignore'),
  },
}

function transition(nextState: WorkerState, action: WorkerAction): Transition {
  return { nextState, action }
}
