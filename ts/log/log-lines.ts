/**
 * The table of all lines that the arbiter and the workers themselves write to the error log.
 * A row has the process, the level, the text and Gunicorn's equivalent. `docs/gunicorn.md` lists
 * them. The texts of errors are in `errors.ts`.
 */

import type { Logger } from './logger.ts'

// biome-ignore lint/suspicious/noExplicitAny: the rows have different parameters.
type Text = (...details: any[]) => string

type Level = 'debug' | 'info' | 'warning' | 'error' | 'critical'

export interface LogLine<T extends Text = Text, L extends Level = Level> {
  readonly by: 'arbiter' | 'worker' | 'both'
  readonly level: L
  readonly text: T
  /** Gunicorn's line for the same event; undefined where Gunicorn logs nothing. */
  readonly gunicorn: string | undefined
}

/** A line that is followed by the stack of a thrown value. */
export interface ThrownLine<T extends Text = Text> extends LogLine<T, 'error'> {
  readonly stack: true
}

export const LOG_LINES = {
  openFileLimit: arbiter('debug', (limit: string) => `Open files: ${limit}`),
  socketFromSystemd: arbiter(
    'debug',
    (fd: number, name: string) => `Using descriptor ${fd}${name} from systemd`,
  ),
  notifyFailed: arbiter('debug', (problem: string) => `Cannot notify systemd: ${problem}`),
  notifyUnavailable: arbiter(
    'warning',
    () => 'NOTIFY_SOCKET is set, but systemd cannot be notified without the addon; use Type=exec',
  ),
  starting: arbiter(
    'info',
    (version: string) => `Starting monoceros ${version}`,
    'Starting gunicorn X',
  ),
  listening: arbiter(
    'info',
    (addresses: string, pid: number) => `Listening at: ${addresses} (${pid})`,
    'Listening at: ADDRESSES (PID)',
  ),
  servingMetrics: arbiter('info', (address: string) => `Metrics at: ${address}`),
  appMetricsFailed: worker(
    'warning',
    (problem: string) => `Cannot collect the metrics of the application: ${problem}`,
  ),
  stopDelayed: arbiter(
    'info',
    (delay: string) => `Readiness fails from now on; stopping in ${delay} (drain_delay)`,
  ),
  usingEngine: arbiter(
    'info',
    (engine: string) => `Using engine: ${engine}`,
    'Using worker: CLASS',
  ),
  addressInUse: arbiter(
    'error',
    (address: string) => `Connection in use: ${address}`,
    'Connection in use: ADDRESS',
  ),
  retryingBind: arbiter('error', () => 'Retrying in 1 second.', 'Retrying in 1 second.'),
  extraListening: arbiter(
    'info',
    (address: string) => `Listening for the application at: ${address}`,
  ),
  extraListenFailed: arbiter(
    'debug',
    (address: string, problem: string) =>
      `Cannot listen for the application at ${address}: ${problem}`,
  ),
  handlingSignal: arbiter(
    'info',
    (signal: string) => `Handling signal: ${signal}`,
    'Handling signal: NAME',
  ),
  handlingCommand: arbiter('info', (command: string) => `Handling command: ${command}`),
  controlListening: arbiter(
    'debug',
    (path: string) => `Control socket: ${path}`,
    'Control socket listening at PATH',
  ),
  controlUnavailable: arbiter('debug', (problem: string) => `No control socket: ${problem}`),
  workerBooting: arbiter(
    'info',
    (pid: number) => `Booting worker with pid: ${pid}`,
    'Booting worker with pid: PID',
  ),
  workerReady: arbiter('debug', (pid: number) => `Worker ready (pid:${pid})`),
  workerLeads: arbiter('info', (pid: number) => `Worker (pid:${pid}) does the work of one worker`),
  allReady: arbiter(
    'info',
    (workers: number, addresses: string) =>
      `Ready: ${workers} ${workers === 1 ? 'worker serves' : 'workers serve'} at ${addresses}`,
  ),
  workerExiting: arbiter(
    'info',
    (pid: number) => `Worker exiting (pid: ${pid})`,
    'Worker exiting (pid: PID)',
  ),
  workerSignaled: arbiter(
    'info',
    (pid: number, signal: string) => `Worker (pid:${pid}) was sent SIG${signal}!`,
    'Worker (pid:PID) was sent SIGNAL!',
  ),
  workerTerminated: arbiter(
    'info',
    (pid: number) => `Worker (pid:${pid}) was sent SIGTERM!`,
    'Worker (pid:PID) was sent SIGTERM!',
  ),
  workerKilledBySignal: arbiter(
    'warning',
    (pid: number, signal: string) => `Worker (pid:${pid}) was sent SIG${signal}!`,
    'Worker (pid:PID) was sent SIGNAL!',
  ),
  workerKilled: arbiter(
    'error',
    (pid: number) => `Worker (pid:${pid}) was sent SIGKILL!`,
    'Worker (pid:PID) was sent SIGKILL! Perhaps out of memory?',
  ),
  workerKilledExternally: arbiter(
    'error',
    (pid: number) => `Worker (pid:${pid}) was sent SIGKILL! Perhaps out of memory?`,
    'Worker (pid:PID) was sent SIGKILL! Perhaps out of memory?',
  ),
  workerKilledByOom: arbiter(
    'error',
    (pid: number) =>
      `Worker (pid:${pid}) was sent SIGKILL! ` +
      'The kernel killed it: its control group is out of memory',
    'Worker (pid:PID) was sent SIGKILL! Perhaps out of memory?',
  ),
  workerHeapFull: arbiter(
    'error',
    (pid: number) =>
      `Worker (pid:${pid}) was sent SIGABRT! ` +
      'Perhaps its JavaScript heap is full; see its last output',
    'Worker (pid:PID) was sent SIGABRT!',
  ),
  workerExited: arbiter(
    'error',
    (pid: number, how: string) => `Worker (pid:${pid}) ${how}`,
    'Worker (pid:PID) exited with code CODE.',
  ),
  restartDelayed: arbiter(
    'warning',
    (pause: string) => `Workers exit too soon; the next one starts in ${pause}`,
  ),
  workerRecycled: arbiter(
    'info',
    (pid: number, reason: string) => `Autorestarting worker (pid:${pid}): ${reason}`,
    'Autorestarting worker after current request. (by the worker)',
  ),
  workerTimeout: arbiter(
    'critical',
    (pid: number, silent: string, timeout: string) =>
      `WORKER TIMEOUT (pid:${pid}): silent for ${silent} > timeout ${timeout}, aborting`,
    'WORKER TIMEOUT (pid:PID)',
  ),
  blockedInJavaScript: arbiter(
    'critical',
    (pid: number, frames: string) => `Worker (pid:${pid}) is blocked in JavaScript:\n${frames}`,
  ),
  blockedInSystemCall: arbiter(
    'critical',
    (pid: number, call: string) => `Worker (pid:${pid}) is blocked in the system call ${call}`,
  ),
  blockedInNativeCode: arbiter(
    'critical',
    (pid: number) =>
      `Worker (pid:${pid}) is busy in native code, so V8 cannot report a JavaScript stack`,
  ),
  inFlightRequests: arbiter(
    'critical',
    (pid: number, requests: string) => `Worker (pid:${pid}) has requests in flight: ${requests}`,
  ),
  killingWorker: arbiter(
    'error',
    (pid: number) => `Worker (pid:${pid}) did not exit in time, killing`,
  ),
  workerCountLimited: arbiter(
    'warning',
    (workers: number, wanted: number, most: number) =>
      `workers stays at ${workers}: ${wanted} is not between 1 and ${most}`,
  ),
  reloadComplete: arbiter(
    'info',
    () => 'Reload complete: all workers are new',
    'Hang up: Master (at the beginning)',
  ),
  reloadFailed: arbiter('error', () => 'Reload failed; the old workers keep serving'),
  fileChanged: arbiter(
    'info',
    (file: string) => `Worker reloading: ${file} modified`,
    'Worker reloading: FILE modified (by the worker)',
  ),
  watchingPath: arbiter('debug', (place: string) => `Watching ${place}`),
  watchFailed: arbiter(
    'warning',
    (place: string, problem: string) => `Cannot watch ${place} for changes: ${problem}`,
  ),
  watcherFailed: thrown('arbiter', () => 'Cannot watch for changes'),
  backlogMetricUnavailable: arbiter(
    'warning',
    (why: string) => `enable_backlog_metric has no effect: ${why}`,
  ),
  upgradeStarting: arbiter('info', (pid: number) => `Starting a new arbiter (pid: ${pid})`),
  takingOver: arbiter('info', (pid: number) => `Taking over from the arbiter (pid: ${pid})`),
  upgradeReady: arbiter(
    'info',
    (pid: number) => `The new arbiter (pid: ${pid}) is serving beside this one`,
  ),
  upgradeFailed: arbiter(
    'warning',
    (pid: number, how: string) =>
      `The new arbiter (pid: ${pid}) exited (${how}); this one keeps serving`,
  ),
  promoted: arbiter('info', () => 'Master has been promoted.', 'Master has been promoted.'),
  signalRefused: arbiter(
    'warning',
    (signal: string, why: string) => `SIG${signal} is refused: ${why}`,
    'USR2 signal ignored. Child exists. (or Parent)',
  ),
  stoppingAllWorkers: arbiter(
    'info',
    () => 'Stopping all workers; HUP starts them again',
    'graceful stop of workers',
  ),
  signalIgnored: arbiter(
    'debug',
    (signal: string, why: string) => `SIG${signal} is ignored: ${why}`,
    'SIGWINCH ignored. Not daemonized',
  ),
  restartingAllWorkers: arbiter(
    'info',
    () => 'Starting all workers again, with their previous settings',
  ),
  quickShutdown: arbiter('info', () => 'Quick shutdown requested'),
  shutDown: arbiter('info', () => 'Shutting down: Master', 'Shutting down: Master'),
  shutDownAfterError: arbiter('error', () => 'Shutting down: Master', 'Shutting down: Master'),
  shutdownReason: arbiter(
    'error',
    (reason: string) => `Reason: ${reason}`,
    'Reason: Worker failed to boot. (or App failed to load.)',
  ),
  hookFailed: thrown(
    'both',
    (hook: string) => `Exception in the hook ${hook}`,
    'none of its own: Unhandled exception in main loop, or Exception in worker process',
  ),
  unexpectedError: thrown('arbiter', () => 'Unexpected error', 'Unhandled exception in main loop'),
  workerEngine: worker('debug', (engine: string) => `engine=${engine}`),
  blockWatcherStarted: worker('debug', () => 'Watcher started'),
  loopTakeovers: worker(
    'debug',
    (count: number) => `The I/O thread took the loop over ${count} times`,
  ),
  blockWatcherFailed: worker('debug', (problem: string) => `The watcher failed: ${problem}`),
  clusterForkIgnored: worker(
    'warning',
    () => 'cluster.fork() starts no process: Monoceros starts the workers (setting workers)',
  ),
  parentMessageDiscarded: worker(
    'warning',
    (message: string) => `process.send() reaches no process; the first message is ${message}`,
  ),
  serverClosedByApp: worker(
    'warning',
    () => 'The application has closed its server: this worker accepts no connections',
  ),
  appIgnoresSigterm: worker(
    'warning',
    () => 'The application handles SIGTERM, but did not exit within graceful_timeout',
  ),
  uncaughtError: thrown(
    'worker',
    () => 'Uncaught error in the application',
    'Error handling request URI',
  ),
  unhandledRejection: thrown(
    'worker',
    () => 'Unhandled rejection in the application',
    'Error handling request URI',
  ),
  requestFailed: thrown(
    'worker',
    (request: string) => `${request} failed`,
    'Error handling request URI',
  ),
  responseBodyFailed: thrown(
    'worker',
    (request: string) => `the response body of ${request} failed`,
  ),
  waitUntilRejected: thrown('worker', () => 'waitUntil() rejected'),
  shutdownFailed: thrown('worker', () => 'The shutdown of the application failed'),
} as const

type Lines = typeof LOG_LINES
export type LogLineName = keyof Lines
type ThrownName = { [N in LogLineName]: Lines[N] extends ThrownLine ? N : never }[LogLineName]

/** Logs the line of a table row; `details` are the parameters of the row's `text`. */
export function logLine<N extends Exclude<LogLineName, ThrownName>>(
  log: Pick<Logger, Lines[N]['level']>,
  name: N,
  ...details: Parameters<Lines[N]['text']>
): void {
  const { level, text }: LogLine = LOG_LINES[name]
  // `log` has the method of this row's level, as its type requires.
  ;(log as Pick<Logger, Level>)[level](text(...details))
}

/** Logs the line of a table row about a thrown value, with its stack. */
export function logThrown<N extends ThrownName>(
  log: Pick<Logger, 'exception'>,
  { name, thrown }: { readonly name: N; readonly thrown: unknown },
  ...details: Parameters<Lines[N]['text']>
): void {
  const { text }: LogLine = LOG_LINES[name]
  log.exception(text(...details), thrown)
}

function arbiter<T extends Text, L extends Level>(
  level: L,
  text: T,
  gunicorn?: string,
): LogLine<T, L> {
  return { by: 'arbiter', level, text, gunicorn }
}

function worker<T extends Text, L extends Level>(
  level: L,
  text: T,
  gunicorn?: string,
): LogLine<T, L> {
  return { by: 'worker', level, text, gunicorn }
}

function thrown<T extends Text>(by: LogLine['by'], text: T, gunicorn?: string): ThrownLine<T> {
  return { by, level: 'error', stack: true, text, gunicorn }
}
