/**
 * Every signal that has a meaning: what the arbiter and a worker do. `docs/signals.md` shows the
 * same table.
 */

/**
 * Meaning of a signal for the arbiter. `ts/arbiter/reactions.ts` has the reaction in each phase.
 */
export type ArbiterRole =
  | 'stop'
  | 'quit'
  | 'reload'
  | 'addWorker'
  | 'removeWorker'
  | 'reopenLogs'
  | 'upgrade'
  | 'pauseWorkers'
  | 'reap'
  | 'default'

/** Meaning of one signal in the two processes. */
export interface SignalRow {
  readonly arbiter: ArbiterRole
  readonly worker: 'drain' | 'quit' | 'abort' | 'reopenLogs' | 'ignore' | 'default'
  /** One sentence for the documentation. */
  readonly arbiterDoc: string
  readonly workerDoc: string
}

/** The table of signals. */
export const SIGNALS = {
  TERM: {
    arbiter: 'stop',
    worker: 'drain',
    arbiterDoc:
      'Graceful stop: workers finish requests in flight for at most `graceful_timeout`, then ' +
      'they are killed. Exit status 0.',
    workerDoc:
      'Stops accepting connections, finishes requests in flight for at most `graceful_timeout`, ' +
      'and exits with status 0. The arbiter starts a successor at once.',
  },
  INT: {
    arbiter: 'quit',
    worker: 'quit',
    arbiterDoc:
      'Quick stop: workers exit without finishing requests, within 2 seconds. During a graceful ' +
      'stop it shortens the remaining time to 2 seconds. Exit status 0.',
    workerDoc: 'Exits at once with status 0; requests in flight are aborted.',
  },
  QUIT: {
    arbiter: 'quit',
    worker: 'quit',
    arbiterDoc: 'The same as `INT`.',
    workerDoc: 'The same as `INT`.',
  },
  HUP: {
    arbiter: 'reload',
    worker: 'ignore',
    arbiterDoc:
      'Reload: reads the settings again and replaces the workers one at a time. A worker stops ' +
      'only when its successor is ready. If the settings or the application are broken, the old ' +
      'workers keep serving and the log has the reason.',
    workerDoc: 'Ignored, so that `pkill -HUP` on the whole group reloads and kills no worker.',
  },
  TTIN: {
    arbiter: 'addWorker',
    worker: 'ignore',
    arbiterDoc: 'Adds a worker, until the next reload.',
    workerDoc: 'Ignored.',
  },
  TTOU: {
    arbiter: 'removeWorker',
    worker: 'ignore',
    arbiterDoc:
      'Removes a worker, until the next reload. The oldest one stops gracefully; at least one ' +
      'stays.',
    workerDoc: 'Ignored.',
  },
  USR1: {
    arbiter: 'reopenLogs',
    worker: 'reopenLogs',
    arbiterDoc: 'Opens the error log and the access log again in all processes, for `logrotate`.',
    workerDoc: 'Opens its log files again.',
  },
  USR2: {
    arbiter: 'upgrade',
    worker: 'ignore',
    arbiterDoc:
      'Upgrade: starts a new arbiter of the installed version beside this one, on the same ' +
      'sockets. See `docs/deploy.md`.',
    workerDoc: 'Ignored.',
  },
  WINCH: {
    arbiter: 'pauseWorkers',
    worker: 'ignore',
    arbiterDoc:
      'Stops all workers gracefully and keeps the arbiter, if it is a `daemon` or a new arbiter ' +
      'serves. Otherwise ignored, because a terminal sends it when its size changes.',
    workerDoc: 'Ignored.',
  },
  CHLD: {
    arbiter: 'reap',
    worker: 'default',
    arbiterDoc: 'A worker has exited: the arbiter records the exit and replaces the worker.',
    workerDoc: 'Belongs to the application and its child processes.',
  },
  ABRT: {
    arbiter: 'default',
    worker: 'abort',
    arbiterDoc: 'Not handled: the system ends the process.',
    workerDoc:
      'Exits at once, with a core dump where those are enabled. The arbiter sends it after ' +
      '`timeout` and `boot_timeout`.',
  },
} as const satisfies Record<string, SignalRow>

export type SignalName = keyof typeof SIGNALS

export const SIGNAL_NAMES = Object.keys(SIGNALS) as SignalName[]

/**
 * Signals that the arbiter subscribes to. Exits of workers arrive as events of Node's child
 * processes, not as CHLD.
 */
export const ARBITER_SIGNALS = filterSignals(
  ({ arbiter }) => arbiter !== 'default' && arbiter !== 'reap',
)

/**
 * Signals that a worker subscribes to. The others keep the default of the system or the
 * application's own handlers.
 */
export const WORKER_SIGNALS = filterSignals(
  ({ worker }) =>
    worker === 'drain' || worker === 'quit' || worker === 'reopenLogs' || worker === 'ignore',
)

function filterSignals(matches: (row: SignalRow) => boolean): SignalName[] {
  return SIGNAL_NAMES.filter((name) => matches(SIGNALS[name]))
}
