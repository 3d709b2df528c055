/** Every signal with a meaning: what the arbiter does, what a worker does. `docs/signals.md` shows the same table. */

/** What a signal means to the arbiter; `ts/arbiter/reactions.ts` says what it does about it in which phase. */
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

/** How a signal is handled by a loop. */
export interface SignalRow {
  readonly arbiter: ArbiterRole
  readonly worker: 'drain' | 'quit' | 'abort' | 'reopenLogs' | 'ignore' | 'default'
  /** One sentence each, for the page. */
  readonly arbiterDoc: string
  readonly workerDoc: string
}

export const SIGNALS = {
  TERM: {
    arbiter: 'stop',
    worker: 'drain',
    arbiterDoc:
      'Graceful stop: workers finish what is in flight for at most `graceful_timeout`, then are killed. Exit status 0.',
    workerDoc:
      'Stops accepting, finishes what is in flight for at most `graceful_timeout`, exits with 0. The arbiter starts a successor at once.',
  },
  INT: {
    arbiter: 'quit',
    worker: 'quit',
    arbiterDoc:
      'Quick stop: workers end without finishing, within 2 seconds. During a graceful stop it shortens the time left to 2 seconds. Exit status 0.',
    workerDoc: 'Exits at once with 0; what is in flight is cut.',
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
      'Reload: reads the settings again and replaces the workers one by one, each successor ready before its predecessor leaves. When the settings or the application are broken, the old workers serve on and the log says why.',
    workerDoc: 'Ignored, so that `pkill -HUP` on the whole group reloads and kills nobody.',
  },
  TTIN: {
    arbiter: 'addWorker',
    worker: 'ignore',
    arbiterDoc: 'One worker more, until the next reload.',
    workerDoc: 'Ignored.',
  },
  TTOU: {
    arbiter: 'removeWorker',
    worker: 'ignore',
    arbiterDoc:
      'One worker fewer, never below one; the oldest leaves gracefully. Until the next reload.',
    workerDoc: 'Ignored.',
  },
  USR1: {
    arbiter: 'reopenLogs',
    worker: 'reopenLogs',
    arbiterDoc: 'Opens the error log and the access log again, in all processes: for `logrotate`.',
    workerDoc: 'Opens its logs again.',
  },
  USR2: {
    arbiter: 'upgrade',
    worker: 'ignore',
    arbiterDoc:
      'Starts a new arbiter beside this one, of the version that is installed now, on the same sockets: see `docs/deploy.md`.',
    workerDoc: 'Ignored.',
  },
  WINCH: {
    arbiter: 'pauseWorkers',
    worker: 'ignore',
    arbiterDoc:
      'With `daemon`, or when a new arbiter serves: all workers leave gracefully, the arbiter stays. Otherwise ignored, since a terminal sends it when its size changes.',
    workerDoc: 'Ignored.',
  },
  CHLD: {
    arbiter: 'reap',
    worker: 'default',
    arbiterDoc: 'A worker has ended: it is accounted for and replaced.',
    workerDoc: 'Belongs to the application and its child processes.',
  },
  ABRT: {
    arbiter: 'default',
    worker: 'abort',
    arbiterDoc: 'Not handled: the system ends the process.',
    workerDoc:
      'Ends at once with a core dump where those are on; the arbiter sends it after `timeout` and `boot_timeout`.',
  },
} as const satisfies Record<string, SignalRow>

export type SignalName = keyof typeof SIGNALS

/** Those that the arbiter listens for. Ends of workers come as events of node's child processes, not as CHLD. */
export const ARBITER_SIGNALS = filterSignals(
  ({ arbiter }) => arbiter !== 'default' && arbiter !== 'reap',
)

/** Those that a worker listens for; the others keep what the system or the application does. */
export const WORKER_SIGNALS = filterSignals(
  ({ worker }) =>
    worker === 'drain' || worker === 'quit' || worker === 'reopenLogs' || worker === 'ignore',
)

function filterSignals(matches: (row: SignalRow) => boolean): SignalName[] {
  return (Object.keys(SIGNALS) as SignalName[]).filter((name) => matches(SIGNALS[name]))
}
