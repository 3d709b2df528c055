/**
 * The table of all errors that Monoceros reports, with code, exit status and text.
 * `npm run gen` writes `docs/errors.md` from it, so the page always matches the program.
 */

import { APP_ERRORS } from './errors/application.ts'
import { MIGRATE_ERRORS } from './errors/migrate.ts'

export interface ErrorRow {
  /** Exit status of the process: 1 settings and start, 2 usage, 3 and 4 the application. */
  readonly exitStatus: 1 | 2 | 3 | 4
  /** The page below `docs/` that explains the feature. */
  readonly page: string
  /** Makes the message: what happened, the value, what is allowed, what to do. */
  // biome-ignore lint/suspicious/noExplicitAny: the rows have different parameters.
  readonly text: (...details: any[]) => string
  /** A remedy or cause for `docs/errors.md` that the message itself does not have. */
  readonly advice?: string
}

export const ERRORS = {
  ERR_FLAG_UNKNOWN: {
    exitStatus: 2,
    page: 'settings.md',
    text: (flag: string, suggestion: string) =>
      `unknown option ${flag}${suggestion} --help lists all options.`,
  },
  ERR_FLAG_USAGE: {
    exitStatus: 2,
    page: 'settings.md',
    text: (what: string) => `${what}. --help lists all options.`,
  },
  ERR_SETTING_UNKNOWN: {
    exitStatus: 1,
    page: 'settings.md',
    text: (name: string, where: string, suggestion: string) =>
      `unknown setting "${name}" in ${where}${suggestion} docs/settings.md lists all settings.`,
  },
  ERR_ENVIRONMENT_UNKNOWN: {
    exitStatus: 1,
    page: 'settings.md',
    text: (variable: string, suggestion: string) =>
      `unknown environment variable ${variable}${suggestion} ` +
      'Names that begin with MONOCEROS_ are reserved for settings; unset or rename the variable.',
    advice: 'MONOCEROS_PORT, MONOCEROS_SERVICE_HOST and other variables of Kubernetes are ignored.',
  },
  ERR_SETTING_VALUE: {
    exitStatus: 1,
    page: 'settings.md',
    text: (subject: string, allowed: string, got: string, suggestion: string) =>
      `${subject} must be ${allowed}, got ${got}${suggestion}`,
  },
  ERR_SETTING_ITEM: {
    exitStatus: 1,
    page: 'settings.md',
    text: (subject: string, got: string, problem: string) => `${subject} ${got}: ${problem}.`,
  },
  ERR_SETTING_LATER: {
    exitStatus: 1,
    page: 'gunicorn.md',
    text: (subject: string) =>
      `${subject} is not supported yet; remove it to start without it. ` +
      'docs/settings.md lists the supported settings.',
  },
  ERR_SETTING_REFUSED: {
    exitStatus: 1,
    page: 'gunicorn.md',
    text: (subject: string, reason: string) => `${subject} cannot be used: ${reason}. Remove it.`,
    advice: 'The setting exists in Gunicorn. To ignore it here would be misleading.',
  },
  ERR_CMD_ARGS_QUOTE: {
    exitStatus: 1,
    page: 'gunicorn.md',
    text: (quote: string) =>
      `MONOCEROS_CMD_ARGS has a ${quote} that is not closed; close it or escape it with \\.`,
  },
  ERR_CONFIG_FILE_MISSING: {
    exitStatus: 1,
    page: 'settings.md',
    text: (path: string) => `config file ${path} does not exist.`,
  },
  ERR_CONFIG_FILE_KIND: {
    exitStatus: 1,
    page: 'settings.md',
    text: (path: string, allowed: string) => `config file ${path} must end in ${allowed}.`,
  },
  ERR_CONFIG_FILE_FORM: {
    exitStatus: 1,
    page: 'settings.md',
    text: (text: string) =>
      `config must be PATH, file:PATH or module:NAME of a JavaScript, TypeScript or JSON file, ` +
      `got "${text}".`,
  },
  ERR_CONFIG_FILE_BROKEN: {
    exitStatus: 1,
    page: 'settings.md',
    text: (path: string, problem: string) => `config file ${path} cannot be loaded: ${problem}`,
  },
  ERR_CONFIG_FILE_SHAPE: {
    exitStatus: 1,
    page: 'settings.md',
    text: (path: string, got: string) =>
      `config file ${path} must export an object of settings ` +
      `(export default defineConfig({ ... })), got ${got}.`,
  },
  ERR_MODULE_UNSETTLED: {
    exitStatus: 1,
    page: 'settings.md',
    text: (path: string, seconds: number) =>
      `${path} did not load within ${seconds} s: ` +
      'a top-level await in it or in one of its imports has not settled.',
  },
  ERR_APP_NONE: {
    exitStatus: 1,
    page: 'frameworks.md',
    text: () =>
      'no application is given. Name it as an argument (./app.js) or in the setting "app".',
  },
  ERR_HOOK_LOAD: {
    exitStatus: 1,
    page: 'hooks.md',
    text: (name: string, spec: string, problem: string) =>
      `the hook ${name} must be a function or FILE:EXPORT, got "${spec}": ${problem}`,
  },
  ERR_HOOK_FUNCTION: {
    exitStatus: 1,
    page: 'hooks.md',
    text: (name: string) =>
      `the hook ${name} runs in workers: define it in a config file, or give it as FILE:EXPORT.`,
  },
  ERR_HOOK_FAILED: {
    exitStatus: 1,
    page: 'hooks.md',
    text: (name: string, thrown: string) => `the hook ${name} failed:\n${thrown}`,
  },
  ERR_HOOK_BOOT: {
    exitStatus: 3,
    page: 'hooks.md',
    text: (name: string, thrown: string) => `the hook ${name} failed:\n${thrown}`,
  },
  ERR_RELOAD_TIMEOUT: {
    exitStatus: 1,
    page: 'signals.md',
    text: (seconds: number) =>
      `the config file or the hook on_reload did not finish within boot_timeout (${seconds}s).`,
    advice: 'The code waits for something that never completes.',
  },
  ERR_CHDIR: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (subject: string, path: string, problem: string) =>
      `${subject} must be a directory that can be entered, got "${path}" (${problem}).`,
  },
  ERR_BIND: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (address: string, reason: string) => `cannot listen at ${address}: ${reason}.`,
  },
  ERR_TLS_CERTIFICATE: {
    exitStatus: 1,
    page: 'tls.md',
    text: (what: string) => `${what} needs a certificate: set certfile.`,
  },
  ERR_TLS_FILE: {
    exitStatus: 1,
    page: 'tls.md',
    text: (setting: string, path: string, problem: string) =>
      `${setting} "${path}" cannot be used: ${problem}.`,
  },
  ERR_TLS_MISMATCH: {
    exitStatus: 1,
    page: 'tls.md',
    text: (keyfile: string, certfile: string) =>
      `the private key in ${keyfile} does not match the certificate in ${certfile}.`,
  },
  ERR_TLS_AUTHORITIES: {
    exitStatus: 1,
    page: 'tls.md',
    text: (certReqs: number) =>
      `cert_reqs=${certReqs} needs the authorities for client certificates: set ca_certs.`,
  },
  ERR_TLS_VERSIONS: {
    exitStatus: 1,
    page: 'tls.md',
    text: (setting: string, value: unknown, others: string) =>
      `${setting} ${value} excludes every version of TLS permitted by ${others}.`,
  },
  ERR_TLS_MATERIAL: {
    exitStatus: 1,
    page: 'tls.md',
    text: (problem: string) => `TLS cannot be used with these settings: ${problem}.`,
    advice:
      'The usual cause is a kind of key that the native engine does not support. ' +
      'It supports RSA of 2048 to 8192 bits, ECDSA with P-256, P-384 or P-521, and Ed25519.',
  },
  ERR_TLS_OPTIONS: {
    exitStatus: 1,
    page: 'tls.md',
    text: (where: string, problem: string) => `${where}: ${problem}.`,
    advice: 'docs/tls.md lists the options of node:tls that the native engine supports.',
  },
  ERR_ADDRESS_IN_USE: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (address: string) =>
      `cannot listen at ${address}: the address is in use (5 tries, 1 second apart). ` +
      'Stop the program that uses it, or bind another address.',
  },
  ERR_LOG_FILE: {
    exitStatus: 1,
    page: 'logging.md',
    text: (setting: string, path: string, problem: string) =>
      `${setting} must be a file that can be appended to, got "${path}" (${problem}).`,
  },
  ERR_LOG_ADDRESS: {
    exitStatus: 1,
    page: 'logging.md',
    text: (setting: string, address: string, problem: string) =>
      `${setting} must be an address that can be resolved, got "${address}" (${problem}).`,
    advice: 'Names are resolved at the start. No server needs to listen at the address yet.',
  },
  ERR_LOG_CONFIG: {
    exitStatus: 1,
    page: 'logging.md',
    text: (subject: string, problem: string) =>
      `${subject} must be an object of log settings, in JSON if it is a file: ${problem}.`,
    advice: 'docs/logging.md has an example.',
  },
  ERR_LOGGER_CLASS: {
    exitStatus: 1,
    page: 'logging.md',
    text: (spec: string, problem: string) =>
      `logger_class must be FILE or FILE:EXPORT of a class with a method log, ` +
      `got "${spec}": ${problem}`,
    advice: 'docs/logging.md has an example.',
  },
  ERR_ACCESS_FORMAT: {
    exitStatus: 1,
    page: 'logging.md',
    text: (rest: string) =>
      `access_log_format must have %(name)s or %% for each percent sign, got "${rest}".`,
  },
  ERR_PIDFILE_TAKEN: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (path: string, pid: number) =>
      `pidfile ${path} belongs to process ${pid}, which is running. Stop it, or set another.`,
  },
  ERR_PIDFILE_WRITE: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (path: string, problem: string) => `pidfile ${path} cannot be written: ${problem}.`,
  },
  ERR_CONTROL_SOCKET: {
    exitStatus: 1,
    page: 'control.md',
    text: (path: string, problem: string) =>
      `control_socket ${path} cannot be used: ${problem}. Set another path, or unset it.`,
  },
  ERR_CONTROL_NONE: {
    exitStatus: 1,
    page: 'control.md',
    text: (instance: string | undefined, where: string) =>
      `no running instance${instance === undefined ? '' : ` "${instance}"`} was found ` +
      `in ${where}. ` +
      'Name its socket with -s PATH, or run this command as its user.',
  },
  ERR_CONTROL_SEVERAL: {
    exitStatus: 1,
    page: 'control.md',
    text: (instances: string) =>
      `several instances are running. Choose one with -i PID or -i NAME:\n${instances}`,
  },
  ERR_CONTROL_CONNECT: {
    exitStatus: 1,
    page: 'control.md',
    text: (path: string, problem: string) => `cannot connect to ${path}: ${problem}`,
  },
  ERR_CTL_USAGE: {
    exitStatus: 2,
    page: 'control.md',
    text: (what: string) => `${what}. monoceros ctl --help lists all commands.`,
  },
  ERR_USER_UNKNOWN: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (setting: string, name: string) =>
      `${setting} must be a name or number that the system knows, got "${name}".`,
    advice: 'A number that the system does not know as a user also needs `group`.',
  },
  ERR_USER: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (action: string, owner: string, problem: string) =>
      `cannot ${action} ${owner}: ${problem}.`,
    advice: 'Only root may do this. Start as root, or unset `user` and `group`.',
  },
  ERR_DAEMON: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (how: string) => `the daemon exited before it was ready: ${how}.`,
    advice: 'Its error log has the reason; start without `daemon` to see it in the terminal.',
  },
  ERR_ENGINE_START: {
    exitStatus: 3,
    page: 'engines.md',
    text: (thrown: string) => `the engine cannot start:\n${thrown}`,
  },
  ERR_WORKER_BOOT_TIMEOUT: {
    exitStatus: 3,
    page: 'faq.md',
    text: (pid: number, seconds: number) =>
      `worker (pid:${pid}) was not ready within boot_timeout (${seconds}s).`,
    advice: 'Make the application start faster, or raise `boot_timeout`.',
  },
  ERR_WORKER_BOOT_EXIT: {
    exitStatus: 3,
    page: 'faq.md',
    text: (pid: number | undefined, how: string) =>
      `worker (pid:${pid ?? '-'}) did not become ready: ${how}.`,
    advice: 'The application exited while it was loading, or the process could not be started.',
  },
  ERR_ENGINE_NATIVE: {
    exitStatus: 1,
    page: 'engines.md',
    text: (why: string) =>
      `engine "native" is not available here: ${why}. Use engine "auto" or "node".`,
    advice: 'docs/engines.md lists what the engine on node:http does not support.',
  },
  ERR_FIELDS_TOO_LONG: {
    exitStatus: 3,
    page: 'engines.md',
    text: (bytes: number, limit: number) =>
      `the header fields of a response take ${bytes} bytes; at most ${limit} can be sent.`,
    advice: 'No client accepts that much. Send long values in the body of the response.',
  },
  ...APP_ERRORS,
  ...MIGRATE_ERRORS,
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** An error that Monoceros itself reports: the message is for people, the code for programs. */
export class MonocerosError extends Error {
  readonly code: ErrorCode
  readonly exit: number

  constructor(code: ErrorCode, text: string) {
    super(text)
    this.name = 'MonocerosError'
    this.code = code
    this.exit = ERRORS[code].exitStatus
  }

  /** Sets the error that led to this one as `cause`, and returns this error. */
  withCause(cause: unknown): this {
    return Object.assign(this, { cause })
  }
}

/** Makes the error for a code of the table; `details` are the parameters of the row's `text`. */
export function monocerosError<C extends ErrorCode>(
  code: C,
  ...details: Parameters<(typeof ERRORS)[C]['text']>
): MonocerosError {
  const row: ErrorRow = ERRORS[code]
  return new MonocerosError(code, row.text(...details))
}

/** Makes an error with a system code such as `EACCES`, in the form that Node's functions throw. */
export function systemError(code: string, subject: string): Error & { readonly code: string } {
  return Object.assign(new Error(`${code}: ${subject}`), { code })
}

/** Ends a `switch` over a union. A missing case does not compile. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected ${JSON.stringify(value)}`)
}
