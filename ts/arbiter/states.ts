/**
 * What happens to a worker in which state: the table that the arbiter's loop looks up. A state is what the arbiter
 * knows or has asked for; an event is what has come to its ears; an action is what it does about it.
 */

export type WorkerState =
  /** Started; the application is loading. */
  | 'booting'
  /** The application could not be loaded; the process is about to end. */
  | 'failing'
  | 'serving'
  /** Told to finish (or told us that it does); its deadline is `graceful_timeout`. */
  | 'draining'
  /** Told to end at once. */
  | 'quitting'
  /** Silent for `timeout`: its watcher is about to say why. */
  | 'blocked'
  /** Was silent or late: told to abort, killed soon after. */
  | 'aborting'
  /** Was asked to leave and did not in time: KILL has been sent. */
  | 'killedInStop'
  /** Was silent and did not abort: KILL has been sent. */
  | 'killedInFailure'
  | 'gone'

export type WorkerEvent =
  | 'ready'
  | 'bootFailed'
  /** Drains because somebody else sent it TERM. */
  | 'signaled'
  /** No heartbeat for `timeout`. */
  | 'timedOut'
  /** Its watcher has said what blocks it. */
  | 'blockReported'
  /** The deadline of its state has passed. */
  | 'deadlinePassed'
  /** The arbiter wants it to finish. */
  | 'retire'
  /** The arbiter wants it to end at once. */
  | 'quit'
  | 'exit'

export type WorkerAction =
  | 'ignore'
  | 'recordReady'
  | 'reportBootFailure'
  | 'handleSignaled'
  | 'sendTerm'
  /** It may have more time than there is now. */
  | 'shortenDrain'
  | 'sendQuit'
  | 'abortBoot'
  | 'awaitBlockReport'
  | 'abortBlocked'
  | 'sendKill'
  /** Its end was asked for. */
  | 'recordStopped'
  /** It never was ready. */
  | 'handleBootExit'
  /** It ended by itself or by somebody else's hand. */
  | 'handleCrash'

interface Transition {
  readonly nextState: WorkerState
  readonly action: WorkerAction
}

export const TRANSITIONS: Readonly<Record<WorkerState, Readonly<Record<WorkerEvent, Transition>>>> =
  {
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
      // It was told to leave while it booted, and the two messages have crossed.
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
      // Again, with the shorter deadline of a second signal.
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
