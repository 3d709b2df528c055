/**
 * Every error that Monoceros reports, as one table: code, exit status of the process that ends with it, text.
 * `docs/errors.md` is generated from it, so the page and the program cannot disagree.
 */

export interface ErrorRow {
  /** Status of a process that ends because of this error: 1 settings and start, 2 usage, 3 and 4 the application. */
  readonly exitStatus: 1 | 2 | 3 | 4
  /** Where docs/ says more. */
  readonly page: string
  /** What, the value, what is allowed, what to do. */
  // biome-ignore lint/suspicious/noExplicitAny: parameters are contravariant, and rows differ in theirs.
  readonly text: (...details: any[]) => string
  /** For `docs/errors.md`: what to do about it, where the text alone does not say it. */
  readonly advice?: string
}

export const ERRORS = {
  ERR_FLAG_UNKNOWN: {
    exitStatus: 2,
    page: 'settings.md',
    text: (flag: string, ending: string) =>
      `unknown option ${flag}${ending} --help lists all options.`,
  },
  ERR_FLAG_USAGE: {
    exitStatus: 2,
    page: 'settings.md',
    text: (what: string) => `${what}. --help lists all options.`,
  },
  ERR_SETTING_UNKNOWN: {
    exitStatus: 1,
    page: 'settings.md',
    text: (name: string, where: string, ending: string) =>
      `unknown setting "${name}" in ${where}${ending} docs/settings.md lists all settings.`,
  },
  ERR_ENVIRONMENT_UNKNOWN: {
    exitStatus: 1,
    page: 'settings.md',
    text: (variable: string, ending: string) =>
      `unknown environment variable ${variable}${ending} Names that begin with MONOCEROS_ belong to settings; unset it or rename it.`,
    advice:
      'Variables that Kubernetes sets for a service called "monoceros" (MONOCEROS_PORT, MONOCEROS_SERVICE_HOST and the like) are passed over.',
  },
  ERR_SETTING_VALUE: {
    exitStatus: 1,
    page: 'settings.md',
    text: (subject: string, allowed: string, got: string, ending: string) =>
      `${subject} must be ${allowed}, got ${got}${ending}`,
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
      `${subject}: not supported yet; remove it to start without it. docs/settings.md says what is.`,
  },
  ERR_VALUE_LATER: {
    exitStatus: 1,
    page: 'gunicorn.md',
    text: (subject: string, value: string, allowed: string) =>
      `${subject}: the value "${value}" is not supported yet; now it must be ${allowed}.`,
  },
  ERR_SETTING_REFUSED: {
    exitStatus: 1,
    page: 'gunicorn.md',
    text: (subject: string, reason: string) => `${subject}: refused, because ${reason}. Remove it.`,
    advice: 'The setting exists in Gunicorn, but taking it and doing nothing would mislead.',
  },
  ERR_CMD_ARGS_QUOTE: {
    exitStatus: 1,
    page: 'gunicorn.md',
    text: (quote: string) => `MONOCEROS_CMD_ARGS: a ${quote} is opened and never closed.`,
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
      `config "${text}" has no meaning here: give PATH, file:PATH or module:NAME of a JavaScript, TypeScript or JSON file.`,
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
      `config file ${path} must export an object of settings (export default defineConfig({ ... })), got ${got}.`,
  },
  ERR_MODULE_UNSETTLED: {
    exitStatus: 1,
    page: 'settings.md',
    text: (path: string, seconds: number) =>
      `${path} has not finished loading after ${seconds} s: a top-level await in it, or in what it imports, has not settled.`,
  },
  ERR_APP_NONE: {
    exitStatus: 1,
    page: 'frameworks.md',
    text: () =>
      'no application named. Give it as an argument (monoceros ./app.js) or as the setting "app".',
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
      `the hook ${name} runs in workers, which are processes of their own: put it in a config file, or name it as FILE:EXPORT.`,
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
      `the config file or the hook on_reload was not done within boot_timeout (${seconds}s).`,
    advice: 'It waits for something that does not come.',
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
    text: (what: string) => `${what} needs a certificate: name one by the setting certfile.`,
  },
  ERR_TLS_FILE: {
    exitStatus: 1,
    page: 'tls.md',
    text: (setting: string, path: string, problem: string) =>
      `${setting} cannot be used, got "${path}": ${problem}.`,
  },
  ERR_TLS_MISMATCH: {
    exitStatus: 1,
    page: 'tls.md',
    text: (keyfile: string, certfile: string) =>
      `the private key in ${keyfile} is not the one of the certificate in ${certfile}.`,
  },
  ERR_TLS_AUTHORITIES: {
    exitStatus: 1,
    page: 'tls.md',
    text: (wish: number) =>
      `cert_reqs=${wish} needs the authorities that vouch for clients: name their file by the setting ca_certs.`,
  },
  ERR_TLS_VERSIONS: {
    exitStatus: 1,
    page: 'tls.md',
    text: (setting: string, value: unknown, against: string) =>
      `${setting} ${value} leaves no version of TLS, by ${against}.`,
  },
  ERR_TLS_MATERIAL: {
    exitStatus: 1,
    page: 'tls.md',
    text: (problem: string) => `TLS cannot be spoken with these settings: ${problem}.`,
    advice:
      'Mostly a key is of a kind that the native engine has not: RSA of 2048 to 8192 bits, ECDSA with P-256, P-384 or P-521, and Ed25519 are those that it has.',
  },
  ERR_TLS_OPTIONS: {
    exitStatus: 1,
    page: 'tls.md',
    text: (where: string, problem: string) => `${where}: ${problem}.`,
    advice: 'docs/tls.md says which options of node:tls have a meaning on the native engine.',
  },
  ERR_ADDRESS_IN_USE: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (address: string) =>
      `cannot listen at ${address}: the address is in use (5 tries, 1 second apart). Stop the program that holds it, or bind another address.`,
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
      `${setting} must be an address that is known, got "${address}" (${problem}).`,
    advice: 'Names are looked up at the start. Nobody need listen there yet.',
  },
  ERR_LOG_CONFIG: {
    exitStatus: 1,
    page: 'logging.md',
    text: (subject: string, problem: string) =>
      `${subject} must be an object of settings of the logs, in JSON where it is a file: ${problem}.`,
    advice: 'docs/logging.md shows one.',
  },
  ERR_LOGGER_CLASS: {
    exitStatus: 1,
    page: 'logging.md',
    text: (spec: string, problem: string) =>
      `logger_class must be FILE or FILE:EXPORT with a class that has a method log, got "${spec}": ${problem}`,
    advice: 'docs/logging.md shows one.',
  },
  ERR_ACCESS_FORMAT: {
    exitStatus: 1,
    page: 'logging.md',
    text: (rest: string) =>
      `access_log_format must have %(name)s or %% where it has a percent sign, got "${rest}".`,
  },
  ERR_PIDFILE_TAKEN: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (path: string, pid: number) =>
      `pidfile ${path} belongs to process ${pid}, which is running. Stop it, or name another pidfile.`,
  },
  ERR_PIDFILE_WRITE: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (path: string, problem: string) => `pidfile ${path} cannot be written: ${problem}.`,
  },
  ERR_USER_UNKNOWN: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (setting: string, name: string) =>
      `${setting} must be the name or number of one that the system knows, got "${name}".`,
    advice: 'A number that the system does not know as a user needs `group` beside it.',
  },
  ERR_USER: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (user: string, group: string, problem: string) =>
      `cannot become user "${user}" and group "${group}": ${problem}.`,
    advice: 'Only root may change to another user. Start as root, or leave `user` and `group` out.',
  },
  ERR_DAEMON: {
    exitStatus: 1,
    page: 'deploy.md',
    text: (how: string) => `the daemon ended before it was ready: ${how}.`,
    advice: 'Its error log says why; start it without `daemon` to see it in the terminal.',
  },
  ERR_APP_MISSING: {
    exitStatus: 3,
    page: 'frameworks.md',
    text: (app: string, path: string) => `application ${app} not found: there is no file ${path}.`,
  },
  ERR_APP_BROKEN: {
    exitStatus: 3,
    page: 'frameworks.md',
    text: (app: string, thrown: string) => `application ${app} failed while loading:\n${thrown}`,
  },
  ERR_APP_STARTUP: {
    exitStatus: 3,
    page: 'frameworks.md',
    text: (thrown: string) => `the startup of the application failed:\n${thrown}`,
  },
  ERR_APP_LIFESPAN: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: () => 'asgi_lifespan is "on", and the application exports neither startup nor shutdown.',
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
      `worker (pid:${pid ?? '-'}) ended before it was ready: ${how}.`,
    advice:
      'The application ended the process while it was loading, or the process could not be started.',
  },
  ERR_ENGINE_NATIVE: {
    exitStatus: 1,
    page: 'engines.md',
    text: (why: string) =>
      `engine "native" cannot be had here: ${why}. Use engine "auto" or "node".`,
    advice: 'docs/engines.md says what the engine on node:http cannot do.',
  },
  ERR_FIELDS_TOO_LONG: {
    exitStatus: 3,
    page: 'engines.md',
    text: (bytes: number, most: number) =>
      `the fields of an answer take ${bytes} bytes, and at most ${most} can be sent.`,
    advice: 'No client takes so much. Send what is so long as the body of the answer.',
  },
  ERR_APP_EXPORT_MISSING: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: (name: string, names: string) =>
      `the application does not export "${name}"; it exports ${names}.`,
  },
  ERR_APP_NOT_CALLABLE: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: (name: string, got: string, style: string) =>
      `the export "${name}" of the application is ${got}; it must be ${
        style === 'fetch'
          ? 'a fetch function or an object with one'
          : 'an http.Server, a function of (req, res) or of Request, an application of a framework, or an object with fetch'
      }. A script may also call listen().`,
  },
  ERR_APP_CLUSTER: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: () =>
      'the application starts workers of its own by node:cluster and serves nothing itself; Monoceros starts the workers: give it what those do.',
  },
  ERR_WORKER_CLASS: {
    exitStatus: 1,
    page: 'frameworks.md',
    text: (path: string, problem: string) =>
      `worker_class must be auto, node, fetch or a module whose default export is a function, got "${path}": ${problem}`,
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** An error that Monoceros itself reports: its text is for people, its code for programs. */
export class MonocerosError extends Error {
  readonly code: ErrorCode
  readonly exit: number

  constructor(code: ErrorCode, text: string) {
    super(text)
    this.name = 'MonocerosError'
    this.code = code
    this.exit = ERRORS[code].exitStatus
  }

  /** Keeps what was thrown below as the cause. */
  withCause(cause: unknown): this {
    this.cause = cause
    return this
  }
}

/** Makes the error of one row of the table. */
export function monocerosError<C extends ErrorCode>(
  code: C,
  ...details: Parameters<(typeof ERRORS)[C]['text']>
): MonocerosError {
  const row: ErrorRow = ERRORS[code]
  return new MonocerosError(code, row.text(...details))
}

/** An error of the system with its code, as node's own functions throw them. */
export function systemError(code: string, subject: string): Error & { readonly code: string } {
  return Object.assign(new Error(`${code}: ${subject}`), { code })
}

/** The end of a `switch` over a union: a member that was forgotten does not compile. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected ${JSON.stringify(value)}`)
}
