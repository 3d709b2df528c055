/**
 * Every server hook as one table: the process that calls it, its arguments, when it is called, and
 * the effect of an exception. The settings, the types of `defineConfig` and docs/hooks.md come from
 * this table.
 */

/** One row of the table of hooks. */
export interface HookRow {
  readonly process: 'arbiter' | 'worker'
  readonly arguments: readonly string[]
  /** When the hook is called. The first sentence describes the setting. */
  readonly doc: string
  /** Effect of an exception, as a sentence. */
  readonly onFailure: string
}

const ENDS_START = 'It is logged and ends the start with exit status 1.'
const IS_LOGGED = 'It is logged; the arbiter continues.'
const IS_LOGGED_BY_WORKER = 'It is logged; the worker continues.'
const ENDS_BOOT = 'The worker fails to boot; during the start the exit status is 3.'

/** The table of hooks. */
export const HOOKS = {
  on_starting: {
    process: 'arbiter',
    arguments: ['server'],
    doc:
      'Called before the arbiter starts: the pidfile is written, and no address is open yet. ' +
      'A promise is awaited.',
    onFailure: ENDS_START,
  },
  on_reload: {
    process: 'arbiter',
    arguments: ['server'],
    doc:
      'Called during a reload when the settings are read and the addresses are open, before new ' +
      'workers start. A promise is awaited for at most boot_timeout.',
    onFailure: 'It is logged, and the reload fails: the old workers keep serving.',
  },
  when_ready: {
    process: 'arbiter',
    arguments: ['server'],
    doc:
      'Called when the arbiter listens, before the first workers start. ' + 'A promise is awaited.',
    onFailure: ENDS_START,
  },
  pre_fork: {
    process: 'arbiter',
    arguments: ['server', 'worker'],
    doc:
      'Called before a worker starts. ' +
      'It may return { env } with environment variables for the new process.',
    onFailure: IS_LOGGED,
  },
  post_fork: {
    process: 'worker',
    arguments: ['server', 'worker'],
    doc:
      'Called first in a new worker, before it changes user and group and loads the ' +
      'application. A promise is awaited.',
    onFailure: ENDS_BOOT,
  },
  post_worker_init: {
    process: 'worker',
    arguments: ['worker'],
    doc:
      'Called in a worker when the application is loaded, before the worker serves. ' +
      'A promise is awaited.',
    onFailure: ENDS_BOOT,
  },
  worker_int: {
    process: 'worker',
    arguments: ['worker'],
    doc: 'Called in a worker on INT or QUIT, before it exits.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  worker_abort: {
    process: 'worker',
    arguments: ['worker'],
    doc:
      'Called in a worker on ABRT, before it exits with status 1. ' +
      'A blocked event loop cannot call it: such a worker is killed a second later.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  pre_exec: {
    process: 'arbiter',
    arguments: ['server'],
    doc:
      'Called on USR2, before a new arbiter starts. ' +
      'A promise is not awaited, and its rejection is only logged.',
    onFailure: 'It is logged, and no new arbiter starts.',
  },
  pre_request: {
    process: 'worker',
    arguments: ['worker', 'req'],
    doc:
      'Called before each request, with the IncomingMessage or the Request. ' +
      'Without this hook requests have no extra cost.',
    onFailure: 'It is logged, and the response is a 500.',
  },
  post_request: {
    process: 'worker',
    arguments: ['worker', 'req', 'environ', 'resp'],
    doc:
      'Called after each request, also after one that failed. The environ has REQUEST_METHOD, ' +
      'PATH_INFO, QUERY_STRING, RAW_URI, SERVER_PROTOCOL and REMOTE_ADDR.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  child_exit: {
    process: 'arbiter',
    arguments: ['server', 'worker'],
    doc: 'Called in the arbiter after a worker has exited.',
    onFailure: IS_LOGGED,
  },
  worker_exit: {
    process: 'worker',
    arguments: ['server', 'worker'],
    doc: 'Called in a worker before it exits. A promise is awaited for at most one second.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  nworkers_changed: {
    process: 'arbiter',
    arguments: ['server', 'new_value', 'old_value'],
    doc:
      'Called when the wanted number of workers is set: at the start (old_value is null), at ' +
      'each reload, and on TTIN and TTOU.',
    onFailure: `During the start: ${ENDS_START} Later: ${IS_LOGGED}`,
  },
  ssl_context: {
    process: 'arbiter',
    arguments: ['config', 'default_ssl_context_factory'],
    doc:
      'Called when the TLS files are read: at the start, at each reload, and when a file has ' +
      'changed. It returns options of `tls.createServer` in Node (cert, key, ca, ...). The ' +
      'function default_ssl_context_factory() returns the options of the settings, which the ' +
      'hook may change. Lists of cert and key are several certificates, each presented for its ' +
      'own names.',
    onFailure: `During the start: ${ENDS_START} Later the previous options stay in use.`,
  },
  on_exit: {
    process: 'arbiter',
    arguments: ['server'],
    doc:
      'Called before the arbiter exits, when all workers have exited. A promise is awaited for ' +
      'at most graceful_timeout, or until INT or QUIT.',
    onFailure: 'It is logged; the exit status does not change.',
  },
} as const satisfies Record<string, HookRow>

export type HookName = keyof typeof HOOKS

export const HOOK_NAMES = Object.keys(HOOKS) as HookName[]

/** Hooks that a worker calls, and therefore loads itself. */
export const WORKER_HOOKS = HOOK_NAMES.filter((name) => HOOKS[name].process === 'worker')
