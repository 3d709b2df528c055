/**
 * Every line of its own that the arbiter or a worker writes into the error log, as one table: who, level, text, and the
 * line of Gunicorn that says the same. `docs/gunicorn.md` shows it. The texts of errors are in `errors.ts`.
 */

import type { Logger } from './logger.ts'

// biome-ignore lint/suspicious/noExplicitAny: parameters are contravariant, and rows differ in theirs.
type Text = (...details: any[]) => string

type Level = 'debug' | 'info' | 'warning' | 'error' | 'critical'

export interface LogLine<T extends Text = Text, L extends Level = Level> {
  readonly by: 'arbiter' | 'worker' | 'both'
  readonly level: L
  readonly text: T
  /** What Gunicorn writes. */
  readonly gunicorn: string | undefined
}

/** A line that the stack of something thrown follows. */
export interface ThrownLine<T extends Text = Text> extends LogLine<T, 'error'> {
  readonly stack: true
}

export const LOG_LINES = {
  openFiles: arbiter('debug', (limit: string) => `Open files: ${limit}`),
  socketFromSystemd: arbiter(
    'debug',
    (fd: number, name: string) => `systemd has opened descriptor ${fd}${name}`,
  ),
  notTold: arbiter('debug', (problem: string) => `systemd was not told: ${problem}`),
  noNotify: arbiter(
    'warning',
    () =>
      'NOTIFY_SOCKET is set, but without the addon systemd cannot be told anything; use Type=exec',
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
  engine: arbiter('info', (engine: string) => `Using engine: ${engine}`, 'Using worker: CLASS'),
  addressInUse: arbiter(
    'error',
    (address: string) => `Connection in use: ${address}`,
    'Connection in use: ADDRESS',
  ),
  bindAgain: arbiter('error', () => 'Retrying in 1 second.', 'Retrying in 1 second.'),
  furtherListening: arbiter(
    'info',
    (address: string) => `Listening for the application at: ${address}`,
  ),
  furtherFailed: arbiter('debug', (address: string, problem: string) => `${address}: ${problem}`),
  signal: arbiter(
    'info',
    (signal: string) => `Handling signal: ${signal}`,
    'Handling signal: NAME',
  ),
  booting: arbiter(
    'info',
    (pid: number) => `Booting worker with pid: ${pid}`,
    'Booting worker with pid: PID',
  ),
  ready: arbiter('debug', (pid: number) => `Worker ready (pid:${pid})`),
  exiting: arbiter(
    'info',
    (pid: number) => `Worker exiting (pid: ${pid})`,
    'Worker exiting (pid: PID)',
  ),
  leaving: arbiter(
    'info',
    (pid: number, signal: string) => `Worker (pid:${pid}) was sent SIG${signal}!`,
    'Worker (pid:PID) was sent SIGNAL!',
  ),
  endedByTerm: arbiter(
    'info',
    (pid: number) => `Worker (pid:${pid}) was sent SIGTERM!`,
    'Worker (pid:PID) was sent SIGTERM!',
  ),
  endedBySignal: arbiter(
    'warning',
    (pid: number, signal: string) => `Worker (pid:${pid}) was sent SIG${signal}!`,
    'Worker (pid:PID) was sent SIGNAL!',
  ),
  killed: arbiter(
    'error',
    (pid: number) => `Worker (pid:${pid}) was sent SIGKILL!`,
    'Worker (pid:PID) was sent SIGKILL! Perhaps out of memory?',
  ),
  killedFromOutside: arbiter(
    'error',
    (pid: number) => `Worker (pid:${pid}) was sent SIGKILL! Perhaps out of memory?`,
    'Worker (pid:PID) was sent SIGKILL! Perhaps out of memory?',
  ),
  killedForMemory: arbiter(
    'error',
    (pid: number) =>
      `Worker (pid:${pid}) was sent SIGKILL! The kernel ended it: the memory of its control group is used up`,
    'Worker (pid:PID) was sent SIGKILL! Perhaps out of memory?',
  ),
  heapFull: arbiter(
    'error',
    (pid: number) =>
      `Worker (pid:${pid}) was sent SIGABRT! Perhaps its JavaScript heap is full; what it wrote last says so`,
    'Worker (pid:PID) was sent SIGABRT!',
  ),
  exited: arbiter(
    'error',
    (pid: number, how: string) => `Worker (pid:${pid}) ${how}`,
    'Worker (pid:PID) exited with code CODE.',
  ),
  endsTooSoon: arbiter(
    'warning',
    (pause: string) => `Workers end too soon; the next one starts in ${pause}`,
  ),
  recycled: arbiter(
    'info',
    (pid: number, reason: string) => `Autorestarting worker (pid:${pid}): ${reason}`,
    'Autorestarting worker after current request. (by the worker)',
  ),
  blocked: arbiter(
    'critical',
    (pid: number, silent: string, timeout: string) =>
      `WORKER TIMEOUT (pid:${pid}): silent for ${silent} > timeout ${timeout}, aborting`,
    'WORKER TIMEOUT (pid:PID)',
  ),
  blockedIn: arbiter(
    'critical',
    (pid: number, frames: string) => `Worker (pid:${pid}) is blocked in JavaScript:\n${frames}`,
  ),
  blockedCall: arbiter(
    'critical',
    (pid: number, call: string) => `Worker (pid:${pid}) is blocked in the system call ${call}`,
  ),
  blockedNative: arbiter(
    'critical',
    (pid: number) =>
      `Worker (pid:${pid}) is busy in native code, and V8 tells no JavaScript stack meanwhile`,
  ),
  inHand: arbiter(
    'critical',
    (pid: number, requests: string) => `Worker (pid:${pid}) has in hand: ${requests}`,
  ),
  killing: arbiter('error', (pid: number) => `Worker (pid:${pid}) did not end in time, killing`),
  workersStay: arbiter(
    'warning',
    (workers: number, wanted: number, most: number) =>
      `workers stays at ${workers}: ${wanted} is not between 1 and ${most}`,
  ),
  reloaded: arbiter(
    'info',
    () => 'Reload complete: all workers are new',
    'Hang up: Master (at the beginning)',
  ),
  reloadFailed: arbiter('error', () => 'Reload failed; the old workers keep serving'),
  changed: arbiter(
    'info',
    (file: string) => `Worker reloading: ${file} modified`,
    'Worker reloading: FILE modified (by the worker)',
  ),
  watching: arbiter('debug', (place: string) => `Watching ${place}`),
  watchFailed: arbiter(
    'warning',
    (place: string, problem: string) => `Changes in ${place} are not noticed: ${problem}`,
  ),
  watchBroken: thrown('arbiter', () => 'Changes are not noticed'),
  backlogUnknown: arbiter(
    'warning',
    (why: string) => `enable_backlog_metric has no effect: ${why}`,
  ),
  upgradeBegins: arbiter('info', (pid: number) => `Starting a new arbiter (pid: ${pid})`),
  takingOver: arbiter('info', (pid: number) => `Taking over from the arbiter (pid: ${pid})`),
  upgradeServes: arbiter(
    'info',
    (pid: number) => `The new arbiter (pid: ${pid}) serves beside this one`,
  ),
  upgradeEnded: arbiter(
    'warning',
    (pid: number, how: string) =>
      `The new arbiter (pid: ${pid}) has ended (${how}); this one goes on`,
  ),
  promoted: arbiter('info', () => 'Master has been promoted.', 'Master has been promoted.'),
  refused: arbiter(
    'warning',
    (signal: string, why: string) => `SIG${signal} is refused: ${why}`,
    'USR2 signal ignored. Child exists. (or Parent)',
  ),
  rest: arbiter(
    'info',
    () => 'The workers leave; HUP brings them back',
    'graceful stop of workers',
  ),
  restRefused: arbiter(
    'debug',
    () => 'SIGWINCH is ignored: this is no daemon, and no new arbiter serves',
    'SIGWINCH ignored. Not daemonized',
  ),
  back: arbiter('info', () => 'The workers come back, with the settings that they had'),
  hurry: arbiter('info', () => 'Quick shutdown requested'),
  stopped: arbiter('info', () => 'Shutting down: Master', 'Shutting down: Master'),
  stoppedBadly: arbiter('error', () => 'Shutting down: Master', 'Shutting down: Master'),
  reason: arbiter(
    'error',
    (reason: string) => `Reason: ${reason}`,
    'Reason: Worker failed to boot. (or App failed to load.)',
  ),
  hookFailed: thrown(
    'both',
    (hook: string) => `Exception in the hook ${hook}`,
    'none of its own: Unhandled exception in main loop, or Exception in worker process',
  ),
  unexpected: thrown('arbiter', () => 'Unexpected error', 'Unhandled exception in main loop'),
  worksOn: worker('debug', (engine: string) => `engine=${engine}`),
  watcher: worker('debug', () => 'Watcher started'),
  watcherEnded: worker('debug', (problem: string) => `The watcher has ended: ${problem}`),
  serverClosed: worker(
    'warning',
    () => 'The application has closed its server: this worker accepts nothing',
  ),
  applicationStays: worker(
    'warning',
    () => 'The application listens to SIGTERM and has not ended within graceful_timeout',
  ),
  uncaught: thrown(
    'worker',
    () => 'Uncaught error in the application',
    'Error handling request URI',
  ),
  rejected: thrown(
    'worker',
    () => 'Unhandled rejection in the application',
    'Error handling request URI',
  ),
  requestFailed: thrown(
    'worker',
    (request: string) => `${request} failed`,
    'Error handling request URI',
  ),
  bodyFailed: thrown('worker', (request: string) => `the body of the answer to ${request} failed`),
  backgroundFailed: thrown('worker', () => 'waitUntil() rejected'),
  shutdownFailed: thrown('worker', () => 'The shutdown of the application failed'),
} as const

type Lines = typeof LOG_LINES
export type LogLineName = keyof Lines
type ThrownName = { [N in LogLineName]: Lines[N] extends ThrownLine ? N : never }[LogLineName]

/** Writes a line. */
export function say<N extends Exclude<LogLineName, ThrownName>>(
  log: Pick<Logger, Lines[N]['level']>,
  name: N,
  ...details: Parameters<Lines[N]['text']>
): void {
  const { level, text }: LogLine = LOG_LINES[name]
  // It can do what this line needs.
  ;(log as Pick<Logger, Level>)[level](text(...details))
}

/** Writes a line about something thrown, with its stack. */
export function sayThrown<N extends ThrownName>(
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
