/**
 * The lifecycle of a worker as a table: for each state and event, the action to perform and the
 * state to enter next. `worker.ts` looks events up here; `ts/arbiter/states.ts` is the arbiter's
 * view of the same process.
 */

/** The states of a worker, in the order of its life. */
export type LifecycleState =
  /** The application is loading; there is no engine yet. */
  | 'booting'
  /**
   * The engine exists and opens its listeners; the arbiter does not know yet that the worker is
   * ready.
   */
  | 'starting'
  /** Requests are accepted. */
  | 'serving'
  /** No new connections are accepted; requests in flight are finished. */
  | 'draining'
  /** Connections are closed; a promise of the hook `worker_exit` may be pending. */
  | 'exiting'
  /** The boot has failed; the message with the reason is being sent to the arbiter. */
  | 'failing'
  /** The process has been asked to exit. */
  | 'gone'

/** Everything that can change the state of a worker or make it act. */
export type LifecycleEvent =
  /** The boot message has arrived. */
  | 'boot'
  /** The engine has been created and does not listen yet. */
  | 'engineCreated'
  /** The engine accepts connections. */
  | 'ready'
  /** The boot has failed. */
  | 'failed'
  /** The message about the failed boot has been sent. */
  | 'failureSent'
  /** SIGTERM. */
  | 'drain'
  /** SIGINT or SIGQUIT. */
  | 'quit'
  /** SIGABRT, where the hook `worker_abort` is set. */
  | 'abort'
  /** The arbiter's message that the application's code has changed (setting `reload`). */
  | 'restart'
  /** The arbiter's message that no worker is to replace this one. */
  | 'shortenDrain'
  /** The channel to the arbiter has closed: the arbiter is dead. */
  | 'orphaned'
  /** Nothing is left that the drain waits for. */
  | 'drained'
  /** The time limit of the drain has passed. */
  | 'overdue'
  /** The hook `worker_exit` has returned, or has had its time. */
  | 'exitHookDone'
  /** The application threw an error that it did not catch, after its boot. */
  | 'uncaught'
  /** Such an error is to end the worker (setting `on_uncaught`: `exit`). */
  | 'crash'
  /** The program has closed its server. */
  | 'serverClosed'
  /** The program has called `listen()` on its closed server again. */
  | 'serverListening'
  /** SIGUSR1, or the arbiter's message: log files are to be opened again. */
  | 'reopenLogs'
  /** The arbiter's message with new certificates or session ticket secrets. */
  | 'updateTls'

/** What the worker does about an event before it enters the next state. */
export type LifecycleAction =
  | 'none'
  | 'startBoot'
  /** Follows `close()` and `listen()` of the program's server. */
  | 'observeServer'
  /** Shows the number of requests in flight in the process title, each second. */
  | 'startTitleUpdates'
  /** Notifies the arbiter that a signal stops the worker. */
  | 'notifyLeaving'
  /** Like `notifyLeaving`, then calls the hook `worker_int`. */
  | 'notifyLeavingAndInterrupt'
  /** Calls the hook `worker_int`. */
  | 'interrupt'
  /** Calls the hook `worker_abort`. */
  | 'callAbortHook'
  /**
   * Plans a drain of at most `graceful_timeout`, which also waits for the application's SIGTERM
   * listeners.
   */
  | 'planGracefulDrain'
  /** Plans a short drain that ends once the worker is idle. */
  | 'planRestartDrain'
  /** Plans a short drain without an arbiter. */
  | 'planOrphanDrain'
  /** Limits the drain that is running to the time of one without an arbiter. */
  | 'limitDrain'
  /** Closes idle connections sooner. */
  | 'shortenIdleTime'
  | 'handleUncaught'
  | 'pauseAccepting'
  | 'resumeAccepting'
  | 'reopenLogs'
  | 'applyTls'

/** A cell of the table: the action runs first, in the old state. */
export interface LifecycleStep {
  readonly next: LifecycleState
  readonly action: LifecycleAction
}

type LifecycleRow = Readonly<Record<LifecycleEvent, LifecycleStep>>

/** Events that mean the same in every state before the exit. */
const ALWAYS = {
  reopenLogs: 'reopenLogs',
  updateTls: 'applyTls',
  uncaught: 'handleUncaught',
} as const

/** The process exits with the event's status, without calling `worker_exit` again. */
const EXIT_NOW = {
  crash: to('gone'),
  abort: to('gone', 'callAbortHook'),
} as const

/** The lifecycle table. */
export const LIFECYCLE: Readonly<Record<LifecycleState, LifecycleRow>> = {
  booting: row('booting', {
    ...ALWAYS,
    boot: 'startBoot',
    engineCreated: to('starting', 'startTitleUpdates'),
    ready: to('serving', 'observeServer'),
    failed: to('failing'),
    drain: to('exiting', 'notifyLeaving'),
    quit: to('exiting', 'notifyLeavingAndInterrupt'),
    abort: to('exiting', 'callAbortHook'),
    restart: to('exiting'),
    shortenDrain: 'shortenIdleTime',
    orphaned: to('exiting'),
    crash: to('exiting'),
  }),
  starting: row('starting', {
    ...ALWAYS,
    // The page about an application that does not load may be served after the application's own
    // attempt.
    engineCreated: 'startTitleUpdates',
    ready: to('serving', 'observeServer'),
    failed: to('failing'),
    drain: to('exiting', 'notifyLeaving'),
    quit: to('exiting', 'notifyLeavingAndInterrupt'),
    abort: to('exiting', 'callAbortHook'),
    restart: to('exiting'),
    shortenDrain: 'shortenIdleTime',
    // A listener may have accepted connections already.
    orphaned: to('draining', 'planOrphanDrain'),
    crash: to('exiting'),
  }),
  serving: row('serving', {
    ...ALWAYS,
    drain: to('draining', 'planGracefulDrain'),
    quit: to('exiting', 'notifyLeavingAndInterrupt'),
    abort: to('exiting', 'callAbortHook'),
    restart: to('draining', 'planRestartDrain'),
    shortenDrain: 'shortenIdleTime',
    orphaned: to('draining', 'planOrphanDrain'),
    crash: to('exiting'),
    serverClosed: 'pauseAccepting',
    serverListening: 'resumeAccepting',
  }),
  draining: row('draining', {
    ...ALWAYS,
    // Without `notifyLeaving`: the arbiter knows already that the worker stops.
    quit: to('exiting', 'interrupt'),
    abort: to('exiting', 'callAbortHook'),
    shortenDrain: 'shortenIdleTime',
    orphaned: 'limitDrain',
    drained: to('exiting'),
    overdue: to('exiting'),
    crash: to('exiting'),
    serverListening: 'resumeAccepting',
  }),
  exiting: row('exiting', {
    ...EXIT_NOW,
    // A drain continues while a promise of `worker_exit` is pending, and may finish first.
    drained: to('gone'),
    overdue: to('gone'),
    exitHookDone: to('gone'),
    uncaught: 'handleUncaught',
  }),
  failing: row('failing', {
    ...EXIT_NOW,
    failureSent: to('gone'),
    uncaught: 'handleUncaught',
  }),
  gone: row('gone', {}),
}

function to(next: LifecycleState, action: LifecycleAction = 'none'): LifecycleStep {
  return { next, action }
}

/**
 * Completes a row: an action alone keeps the state, and an event that is not listed changes
 * nothing.
 */
function row(
  state: LifecycleState,
  cells: Partial<Record<LifecycleEvent, LifecycleStep | LifecycleAction>>,
): LifecycleRow {
  const complete = (event: LifecycleEvent): LifecycleStep => {
    const cell = cells[event] ?? 'none'
    return typeof cell === 'string' ? to(state, cell) : cell
  }
  return {
    boot: complete('boot'),
    engineCreated: complete('engineCreated'),
    ready: complete('ready'),
    failed: complete('failed'),
    failureSent: complete('failureSent'),
    drain: complete('drain'),
    quit: complete('quit'),
    abort: complete('abort'),
    restart: complete('restart'),
    shortenDrain: complete('shortenDrain'),
    orphaned: complete('orphaned'),
    drained: complete('drained'),
    overdue: complete('overdue'),
    exitHookDone: complete('exitHookDone'),
    uncaught: complete('uncaught'),
    crash: complete('crash'),
    serverClosed: complete('serverClosed'),
    serverListening: complete('serverListening'),
    reopenLogs: complete('reopenLogs'),
    updateTls: complete('updateTls'),
  }
}
