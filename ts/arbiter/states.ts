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
  | 'cut'
  /** Was silent and did not abort: KILL has been sent. */
  | 'killed'
  | 'gone'

export type WorkerEvent =
  | 'ready'
  | 'failed'
  /** Drains because somebody else sent it TERM. */
  | 'leaving'
  /** No heartbeat for `timeout`. */
  | 'silent'
  /** Its watcher has said what blocks it. */
  | 'explained'
  /** The deadline of its state has passed. */
  | 'overdue'
  /** The arbiter wants it to finish. */
  | 'retire'
  /** The arbiter wants it to end at once. */
  | 'quit'
  | 'exit'

export type WorkerAction =
  | 'ignore'
  | 'welcome'
  | 'noteFailure'
  | 'noteLeaving'
  | 'terminate'
  /** It may have more time than there is now. */
  | 'hasten'
  | 'interrupt'
  | 'abortBoot'
  | 'askWhy'
  | 'abortSilent'
  | 'kill'
  /** Its end was asked for. */
  | 'farewell'
  /** It never was ready. */
  | 'bootFailed'
  /** It ended by itself or by somebody else's hand. */
  | 'crashed'

interface Cell {
  readonly next: WorkerState
  readonly action: WorkerAction
}

export const STATES: Readonly<Record<WorkerState, Readonly<Record<WorkerEvent, Cell>>>> = {
  booting: {
    ready: cell('serving', 'welcome'),
    failed: cell('failing', 'noteFailure'),
    leaving: cell('draining', 'noteLeaving'),
    silent: cell('booting', 'ignore'),
    explained: cell('booting', 'ignore'),
    overdue: cell('aborting', 'abortBoot'),
    retire: cell('draining', 'terminate'),
    quit: cell('quitting', 'interrupt'),
    exit: cell('gone', 'bootFailed'),
  },
  failing: {
    ready: cell('failing', 'ignore'),
    failed: cell('failing', 'ignore'),
    leaving: cell('failing', 'ignore'),
    silent: cell('failing', 'ignore'),
    explained: cell('failing', 'ignore'),
    overdue: cell('killed', 'kill'),
    retire: cell('failing', 'ignore'),
    quit: cell('quitting', 'interrupt'),
    exit: cell('gone', 'bootFailed'),
  },
  serving: {
    ready: cell('serving', 'ignore'),
    failed: cell('serving', 'ignore'),
    leaving: cell('draining', 'noteLeaving'),
    silent: cell('blocked', 'askWhy'),
    explained: cell('serving', 'ignore'),
    overdue: cell('serving', 'ignore'),
    retire: cell('draining', 'terminate'),
    quit: cell('quitting', 'interrupt'),
    exit: cell('gone', 'crashed'),
  },
  draining: {
    // It was told to leave while it booted, and the two messages have crossed.
    ready: cell('draining', 'ignore'),
    failed: cell('draining', 'ignore'),
    leaving: cell('draining', 'ignore'),
    silent: cell('blocked', 'askWhy'),
    explained: cell('draining', 'ignore'),
    overdue: cell('cut', 'kill'),
    retire: cell('draining', 'hasten'),
    quit: cell('quitting', 'interrupt'),
    exit: cell('gone', 'farewell'),
  },
  quitting: {
    ready: cell('quitting', 'ignore'),
    failed: cell('quitting', 'ignore'),
    leaving: cell('quitting', 'ignore'),
    silent: cell('cut', 'kill'),
    explained: cell('quitting', 'ignore'),
    overdue: cell('cut', 'kill'),
    retire: cell('quitting', 'ignore'),
    // Again, with the shorter deadline of a second signal.
    quit: cell('quitting', 'interrupt'),
    exit: cell('gone', 'farewell'),
  },
  cut: {
    ready: cell('cut', 'ignore'),
    failed: cell('cut', 'ignore'),
    leaving: cell('cut', 'ignore'),
    silent: cell('cut', 'ignore'),
    explained: cell('cut', 'ignore'),
    overdue: cell('cut', 'ignore'),
    retire: cell('cut', 'ignore'),
    quit: cell('cut', 'ignore'),
    exit: cell('gone', 'farewell'),
  },
  blocked: {
    ready: cell('blocked', 'ignore'),
    failed: cell('blocked', 'ignore'),
    leaving: cell('blocked', 'ignore'),
    silent: cell('blocked', 'ignore'),
    explained: cell('aborting', 'abortSilent'),
    overdue: cell('aborting', 'abortSilent'),
    retire: cell('blocked', 'ignore'),
    quit: cell('cut', 'kill'),
    exit: cell('gone', 'crashed'),
  },
  aborting: {
    ready: cell('aborting', 'ignore'),
    failed: cell('aborting', 'ignore'),
    leaving: cell('aborting', 'ignore'),
    silent: cell('aborting', 'ignore'),
    explained: cell('aborting', 'ignore'),
    overdue: cell('killed', 'kill'),
    retire: cell('aborting', 'ignore'),
    quit: cell('cut', 'kill'),
    exit: cell('gone', 'crashed'),
  },
  killed: {
    ready: cell('killed', 'ignore'),
    failed: cell('killed', 'ignore'),
    leaving: cell('killed', 'ignore'),
    silent: cell('killed', 'ignore'),
    explained: cell('killed', 'ignore'),
    overdue: cell('killed', 'ignore'),
    retire: cell('killed', 'ignore'),
    quit: cell('killed', 'ignore'),
    exit: cell('gone', 'crashed'),
  },
  gone: {
    ready: cell('gone', 'ignore'),
    failed: cell('gone', 'ignore'),
    leaving: cell('gone', 'ignore'),
    silent: cell('gone', 'ignore'),
    explained: cell('gone', 'ignore'),
    overdue: cell('gone', 'ignore'),
    retire: cell('gone', 'ignore'),
    quit: cell('gone', 'ignore'),
    exit: cell('gone', 'ignore'),
  },
}

function cell(next: WorkerState, action: WorkerAction): Cell {
  return { next, action }
}
