// Each line of the error log with the test that proves it, as in proofs.ts.

import type { LogLineName } from '../ts/log/log-lines.ts'
import { proof } from './proofs.ts'

const P = 'process'

/** Proofs of the lines of the error log. */
export const LINE_PROOFS: Record<LogLineName, string> = {
  openFileLimit: proof('docs/faq.spec.ts', 'How can I raise the number of open files?'),
  notifyFailed: proof(
    `${P}/systemd.spec.ts`,
    'a notification that fails does not keep it from serving',
  ),
  notifyUnavailable: proof(
    `${P}/systemd.spec.ts`,
    'a notification that fails does not keep it from serving',
  ),
  socketFromSystemd: proof(`${P}/systemd.spec.ts`, 'serves the socket of systemd instead of bind'),
  starting: proof(`${P}/syslog.spec.ts`, 'syslog over UDP gets both logs, with priority and tag'),
  listening: proof(`${P}/systemd.spec.ts`, 'serves the socket of systemd instead of bind'),
  servingMetrics: proof(`${P}/metrics.spec.ts`, 'the page counts requests, in both formats'),
  appMetricsFailed: proof(
    `${P}/app-metrics.spec.ts`,
    'a registry that fails is logged once, and the page has the rest',
  ),
  stopDelayed: proof(`${P}/health.spec.ts`, 'drain_delay fails readiness before the stop'),
  usingEngine: proof(
    `${P}/blocked.spec.ts`,
    'without the addon a JavaScript thread finds the place',
  ),
  addressInUse: proof(`${P}/taken.spec.ts`, 'a port in use: 1, after five tries'),
  retryingBind: proof(`${P}/taken.spec.ts`, 'TERM while the port is waited for: 0'),
  extraListening: proof(
    `${P}/extra-listeners.spec.ts`,
    "every worker listens on the extra server's port, through a reload",
  ),
  extraListenFailed: proof(
    `${P}/extra-listeners.spec.ts`,
    "a extra port that is taken is the program's to deal with",
  ),
  handlingSignal: proof(
    `${P}/output.spec.ts`,
    'a logger of the operator writes the error log, in arbiter and workers',
  ),
  workerBooting: proof(
    `${P}/signals.spec.ts`,
    'one line reports that all workers serve, and where',
  ),
  workerReady: proof(
    `${P}/signals.spec.ts`,
    'HUP takes new settings: workers, environment, addresses',
  ),
  workerLeads: proof('arbiter/leadership.spec.ts', 'of several workers with such work, one leads'),
  allReady: proof(`${P}/signals.spec.ts`, 'one line reports that all workers serve, and where'),
  workerExiting: proof(`${P}/failures.spec.ts`, 'after an uncaught error a successor comes first'),
  workerSignaled: proof(
    `${P}/booting.spec.ts`,
    'INT to a worker that serves: replaced at once, and no crash',
  ),
  workerTerminated: proof(
    'arbiter/arbiter.spec.ts',
    'a worker killed by SIGSEGV is logged as a warning, by SIGTERM at info',
  ),
  workerKilledBySignal: proof(
    'arbiter/arbiter.spec.ts',
    'a worker killed by SIGSEGV is logged as a warning, by SIGTERM at info',
  ),
  workerKilled: proof(
    'arbiter/arbiter.spec.ts',
    'a worker without a heartbeat is replaced, aborted and then killed',
  ),
  workerKilledExternally: proof(`${P}/failures.spec.ts`, 'a killed worker is replaced at once'),
  workerKilledByOom: proof(
    `${P}/memory.spec.ts`,
    'an out-of-memory kill by the kernel is logged as such',
  ),
  workerHeapFull: proof(
    `${P}/memory.spec.ts`,
    'a full heap is named, the others serve on, pauses grow',
  ),
  workerExited: proof(
    `${P}/failures.spec.ts`,
    'workers that end by themselves are replaced after growing pauses',
  ),
  restartDelayed: proof(
    `${P}/memory.spec.ts`,
    'a full heap is named, the others serve on, pauses grow',
  ),
  workerRecycled: proof(
    `${P}/failures.spec.ts`,
    'max_requests replaces a worker once its successor is ready',
  ),
  workerTimeout: proof(
    `${P}/failures.spec.ts`,
    'a blocked event loop is ended after timeout and replaced',
  ),
  blockedInJavaScript: proof(
    `${P}/blocked.spec.ts`,
    'a place in a file with a source map is the place in what was written',
  ),
  blockedInSystemCall: proof(
    `${P}/blocked.spec.ts`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the title as the file has it.
    'blocked by ${way}: the place is logged, a successor starts',
  ),
  blockedInNativeCode: proof(
    'arbiter/block-report.spec.ts',
    'a blocked worker without a stack and a system call is busy in native code',
  ),
  inFlightRequests: proof(
    'arbiter/arbiter.spec.ts',
    'the block report is logged before a blocked worker is aborted',
  ),
  killingWorker: proof(
    `${P}/reload.spec.ts`,
    'a short request is finished, and a blocked worker is killed',
  ),
  workerCountLimited: proof(
    `${P}/signals.spec.ts`,
    'TTIN adds a worker, TTOU takes the oldest away but never the last',
  ),
  reloadComplete: proof(
    `${P}/signals.spec.ts`,
    'HUP takes new settings: workers, environment, addresses',
  ),
  reloadFailed: proof(
    `${P}/binds.spec.ts`,
    'a port that is taken at a reload: a message, and the old set serves on',
  ),
  fileChanged: proof(`${P}/reload.spec.ts`, 'a file that is saved is served, and nothing is lost'),
  watchingPath: proof(`${P}/reload.spec.ts`, 'a file that is saved is served, and nothing is lost'),
  watcherFailed: proof(
    'arbiter/dev-reload.spec.ts',
    'a file watcher that cannot start does not stop the server',
  ),
  watchFailed: proof(
    'arbiter/watch-limit.spec.ts',
    'a directory that cannot be watched is named in the log',
  ),
  backlogMetricUnavailable: proof(
    `${P}/statsd.spec.ts`,
    'without the addon the backlog is unknown, which is logged once',
  ),
  upgradeStarting: proof(`${P}/upgrade.spec.ts`, 'USR2 and TERM to the old arbiter lose nothing'),
  takingOver: proof(`${P}/upgrade.spec.ts`, 'USR2 and TERM to the old arbiter lose nothing'),
  upgradeFailed: proof(
    `${P}/upgrade.spec.ts`,
    'a new arbiter that cannot start does not change the old one',
  ),
  upgradeReady: proof(
    `${P}/upgrade.spec.ts`,
    'the old arbiter is killed: the new one has everything',
  ),
  promoted: proof(`${P}/upgrade.spec.ts`, 'USR2 and TERM to the old arbiter lose nothing'),
  signalRefused: proof(`${P}/upgrade.spec.ts`, 'USR2 and TERM to the old arbiter lose nothing'),
  stoppingAllWorkers: proof(`${P}/upgrade.spec.ts`, 'USR2, WINCH and the way back lose nothing'),
  signalIgnored: proof(
    `${P}/signals.spec.ts`,
    'WINCH is ignored in the foreground, where a terminal sends it',
  ),
  restartingAllWorkers: proof(`${P}/upgrade.spec.ts`, 'USR2, WINCH and the way back lose nothing'),
  quickShutdown: proof(
    `${P}/signals.spec.ts`,
    'INT during a graceful stop ends it within two seconds',
  ),
  shutDown: proof(`${P}/signals.spec.ts`, 'TERM answers what is in flight and exits with 0'),
  shutDownAfterError: proof(
    'arbiter/arbiter.spec.ts',
    'a start whose application fails exits with its status and logs one message',
  ),
  shutdownReason: proof(
    'arbiter/arbiter.spec.ts',
    'a start whose application fails exits with its status and logs one message',
  ),
  handlingCommand: proof(
    'control/commands.spec.ts',
    'reload answers when all workers are new, or with why it failed',
  ),
  controlListening: proof(
    'control/commands.spec.ts',
    'the file of a dead instance is replaced, that of a live one never',
  ),
  controlUnavailable: proof(
    'control/commands.spec.ts',
    'no control socket: a place that cannot be written, or by request',
  ),
  hookFailed: proof(`${P}/hooks.spec.ts`, 'hooks come in their order and in their process'),
  unexpectedError: proof(
    `${P}/hooks.spec.ts`,
    'an error of what a hook has left running is logged, and nothing else happens',
  ),
  workerEngine: proof(
    `${P}/blocked.spec.ts`,
    'without the addon a JavaScript thread finds the place',
  ),
  blockWatcherStarted: proof(
    `${P}/blocked.spec.ts`,
    'without the addon a JavaScript thread finds the place',
  ),
  blockWatcherFailed: proof(
    `${P}/blocked.spec.ts`,
    'a watcher thread that fails is logged, and the worker serves',
  ),
  loopTakeovers: proof(
    `${P}/blocked-loop.spec.ts`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the title as the file has it.
    'a blocked ${way} delays no handshake, refusal or deadline (${loop})',
  ),
  clusterForkIgnored: proof(
    `${P}/cluster.spec.ts`,
    'cluster.fork() starts no process and warns once',
  ),
  parentMessageDiscarded: proof(
    `${P}/cluster.spec.ts`,
    'a message to the primary process is discarded with one warning',
  ),
  serverClosedByApp: proof(
    `${P}/extra-listeners.spec.ts`,
    'a worker whose program closes its server accepts nothing until it listens again',
  ),
  appIgnoresSigterm: proof(`${P}/app-sigterm.spec.ts`, 'it has no longer than graceful_timeout'),
  uncaughtError: proof(
    `${P}/failures.spec.ts`,
    'a handler that throws or rejects gets 500, and the worker keeps serving',
  ),
  unhandledRejection: proof(
    `${P}/failures.spec.ts`,
    'a handler that throws or rejects gets 500, and the worker keeps serving',
  ),
  requestFailed: proof('http/errors.spec.ts', 'gets a 500 response and is logged'),
  responseBodyFailed: proof(
    'http/errors.spec.ts',
    'a response body that fails is cut off and logged',
  ),
  waitUntilRejected: proof(
    `${P}/background.spec.ts`,
    'work that fails is logged, and nothing else happens',
  ),
  shutdownFailed: proof(
    `${P}/hooks.spec.ts`,
    'a shutdown that fails is logged, and the worker ends all the same',
  ),
}
