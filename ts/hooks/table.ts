/**
 * Every server hook as one table: in which process it runs, with what, when, and what an exception in it does. The
 * settings, the types of `defineConfig` and docs/hooks.md come from it.
 */

export interface HookRow {
  readonly process: 'arbiter' | 'worker'
  readonly arguments: readonly string[]
  /** A sentence; the first one is the setting's line. */
  readonly doc: string
  /** A sentence: what an exception does. */
  readonly onFailure: string
}

const ENDS_START = 'It is logged and ends the start with exit status 1.'
const IS_LOGGED = 'It is logged; the arbiter goes on.'
const IS_LOGGED_BY_WORKER = 'It is logged; the worker goes on.'
const ENDS_BOOT = 'The worker has failed to boot: at the start that is exit status 3.'

export const HOOKS = {
  on_starting: {
    process: 'arbiter',
    arguments: ['server'],
    doc: 'Called before the arbiter starts: the pidfile is written, nothing listens yet. A promise is waited for.',
    onFailure: ENDS_START,
  },
  on_reload: {
    process: 'arbiter',
    arguments: ['server'],
    doc: 'Called in a reload when settings are read and addresses are open, before new workers start. A promise is waited for, for boot_timeout.',
    onFailure: 'It is logged and the reload is given up: the old workers serve on.',
  },
  when_ready: {
    process: 'arbiter',
    arguments: ['server'],
    doc: 'Called when the arbiter listens, before the first workers start. A promise is waited for.',
    onFailure: ENDS_START,
  },
  pre_fork: {
    process: 'arbiter',
    arguments: ['server', 'worker'],
    doc: 'Called before a worker is started. It may return { env } with variables for the new process.',
    onFailure: IS_LOGGED,
  },
  post_fork: {
    process: 'worker',
    arguments: ['server', 'worker'],
    doc: 'Called first in a new worker, before user and group are changed and the application is loaded. A promise is waited for.',
    onFailure: ENDS_BOOT,
  },
  post_worker_init: {
    process: 'worker',
    arguments: ['worker'],
    doc: 'Called in a worker when the application is loaded, before it serves. A promise is waited for.',
    onFailure: ENDS_BOOT,
  },
  worker_int: {
    process: 'worker',
    arguments: ['worker'],
    doc: 'Called in a worker at INT or QUIT, before it ends.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  worker_abort: {
    process: 'worker',
    arguments: ['worker'],
    doc: 'Called in a worker at ABRT, before it ends with status 1. A blocked event loop cannot call it: such a worker is killed a second later.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  pre_exec: {
    process: 'arbiter',
    arguments: ['server'],
    doc: 'Called at USR2 before a new arbiter is started. A promise is not waited for, and its rejection only logged.',
    onFailure: 'It is logged and no new arbiter is started.',
  },
  pre_request: {
    process: 'worker',
    arguments: ['worker', 'req'],
    doc: 'Called before each request, with the IncomingMessage or Request. Without it a request costs nothing more.',
    onFailure: 'It is logged, and the request is answered with 500.',
  },
  post_request: {
    process: 'worker',
    arguments: ['worker', 'req', 'environ', 'resp'],
    doc: 'Called after each request, also after one that failed. The environ has REQUEST_METHOD, PATH_INFO, QUERY_STRING, RAW_URI, SERVER_PROTOCOL and REMOTE_ADDR.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  child_exit: {
    process: 'arbiter',
    arguments: ['server', 'worker'],
    doc: 'Called in the arbiter after a worker has ended.',
    onFailure: IS_LOGGED,
  },
  worker_exit: {
    process: 'worker',
    arguments: ['server', 'worker'],
    doc: 'Called in a worker before it ends. A promise is waited for, for a second.',
    onFailure: IS_LOGGED_BY_WORKER,
  },
  nworkers_changed: {
    process: 'arbiter',
    arguments: ['server', 'new_value', 'old_value'],
    doc: 'Called whenever the wanted number of workers is set: at the start (old_value is null), at each reload, at TTIN and TTOU.',
    onFailure: `At the start: ${ENDS_START} Later: ${IS_LOGGED}`,
  },
  ssl_context: {
    process: 'arbiter',
    arguments: ['config', 'default_ssl_context_factory'],
    doc: "Called when the files of TLS are read: at the start, at each reload, and when one of them has changed. It returns options of node's `tls.createServer` (cert, key, ca, ...), perhaps those that default_ssl_context_factory() makes of the settings, changed. Lists of cert and key are several certificates, each shown for its names.",
    onFailure: `At the start: ${ENDS_START} Later what was there before stays.`,
  },
  on_exit: {
    process: 'arbiter',
    arguments: ['server'],
    doc: 'Called before the arbiter ends, when all workers have gone. A promise is waited for, for graceful_timeout or until INT or QUIT.',
    onFailure: 'It is logged; the exit status stays.',
  },
} as const satisfies Record<string, HookRow>

export type HookName = keyof typeof HOOKS

export const HOOK_NAMES = Object.keys(HOOKS) as HookName[]

/** Those that a worker calls, so that it must load the functions itself. */
export const WORKER_HOOKS = HOOK_NAMES.filter((name) => HOOKS[name].process === 'worker')
