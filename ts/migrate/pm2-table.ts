/**
 * The table of pm2's options: the setting that each becomes, or why none does. `npm run gen` writes
 * the table of docs/migrate.md from it. The order is that of the settings in the new file.
 */
import type { RowName } from '../settings/names.ts'
import { shellWords } from '../settings/shell-words.ts'
import { Code, exampleOf } from './draft.ts'

/** Settings by name; undefined if this value has no equivalent. */
export type Converted = Partial<Record<RowName, unknown>> | undefined

export interface Pm2Row {
  /** The name and its aliases. */
  readonly names: readonly string[]
  /** The settings that `convert` returns. */
  readonly to: readonly RowName[]
  /** What changes, or why there is no equivalent. Complete sentences. */
  readonly doc: string
  readonly convert?: (value: unknown, app: Pm2App) => Converted
  /** The new file has `doc` as a comment also if the value is converted. */
  readonly isRemarked?: true
  /** The option is on by default: true asks for nothing. */
  readonly isOnByDefault?: true
}

export type Pm2App = Readonly<Record<string, unknown>>

const SCRIPT = /\.[cm]?[jt]sx?$/
const NODE = /^(?:none|(?:.*\/)?node(?:js)?)$/
const MEMORY = /^(\d+)([KMG])?$/
const TIME = /^\d+$/
/** pm2's text for "no file". */
const NO_FILE = ['/dev/null', 'NULL']

export const PM2_ROWS: readonly Pm2Row[] = [
  {
    names: ['script', 'exec'],
    to: ['app'],
    doc:
      'Name the file that creates the server. Of "npm start" and the like, the file is taken ' +
      'from package.json if the script only runs node.',
    convert: (value) =>
      typeof value === 'string' && (SCRIPT.test(value) || /^[./]/.test(value))
        ? { app: value }
        : undefined,
  },
  {
    names: ['args'],
    to: ['app_args'],
    doc: 'A text is split as a shell does.',
    convert: (value) => withList('app_args', words(value)),
  },
  {
    names: ['name'],
    to: ['proc_name'],
    doc: 'The name in the titles of the processes.',
    convert: (value) => (value === '' ? undefined : { proc_name: value }),
  },
  {
    names: ['cwd'],
    to: ['chdir'],
    doc: 'The path of the application is relative to it.',
    convert: (value) => ({ chdir: value }),
  },
  {
    names: ['interpreter', 'exec_interpreter'],
    to: [],
    doc:
      'Monoceros runs applications with the Node that runs Monoceros. It loads TypeScript ' +
      'without another program. An application in another language stays with pm2.',
    convert: (value) => (typeof value === 'string' && NODE.test(value) ? {} : undefined),
  },
  {
    names: ['node_args', 'interpreter_args', 'interpreterArgs'],
    to: ['raw_env'],
    doc: 'The flags of Node are passed to the workers in NODE_OPTIONS, which allows most of them.',
    convert: (value) => {
      const flags = words(value)?.map((word) =>
        /[\s"\\]/.test(word) ? JSON.stringify(word) : word,
      )
      return withList('raw_env', flags?.length ? [`NODE_OPTIONS=${flags.join(' ')}`] : flags)
    },
  },
  {
    names: ['instances'],
    to: ['workers'],
    doc: '"max" and 0 become "auto", which respects the limits of a container.',
    convert: (value) => {
      const count = Number(value)
      if (value === 'max' || count === 0) return { workers: 'auto' }
      if (Number.isInteger(count) && count < 0) {
        const text = `Math.max(1, availableParallelism() - ${-count})`
        const needs = "import { availableParallelism } from 'node:os'"
        return { workers: new Code(text, 1, needs) }
      }
      return { workers: count }
    },
  },
  {
    names: ['exec_mode'],
    to: [],
    doc:
      'The workers always share the sockets of the arbiter, as in cluster mode. Several ' +
      'processes of fork mode that listen on a port each become workers on one port.',
    convert: (value, { instances }) =>
      /^cluster/.test(String(value)) || instances === undefined || Number(instances) === 1
        ? {}
        : undefined,
  },
  {
    names: ['port'],
    to: ['bind'],
    doc: 'The same as PORT in env.',
    // `readApps` has moved the value to env.
    convert: () => ({}),
  },
  {
    names: ['env'],
    to: ['raw_env', 'bind'],
    doc:
      'PORT becomes the address. Values that the file takes from process.env are read again when ' +
      'Monoceros loads the new file, so no secret is copied.',
    convert: convertEnvironment,
  },
  {
    names: ['env_NAME'],
    to: ['raw_env', 'bind'],
    doc: 'Add --env NAME to the command to use these variables.',
  },
  {
    names: ['filter_env'],
    to: [],
    doc:
      'The workers get the environment of the server. Start it with the variables ' +
      'that they need.',
  },
  {
    names: ['increment_var'],
    to: [],
    doc: 'All workers share one port. Use NODE_APP_INSTANCE where the workers must differ.',
  },
  {
    names: ['instance_var'],
    to: [],
    doc: 'The number of the worker is always in NODE_APP_INSTANCE, from 0.',
    convert: (value) => (value === 'NODE_APP_INSTANCE' ? {} : undefined),
  },
  {
    names: ['max_memory_restart'],
    to: ['max_worker_memory'],
    doc: 'The successor is ready before the old worker exits.',
    convert: (value) => {
      const [, count, unit = ''] = MEMORY.exec(String(value)) ?? []
      return count === undefined
        ? undefined
        : { max_worker_memory: unit === '' ? Number(count) : `${count}${unit.toLowerCase()}` }
    },
  },
  {
    names: ['kill_timeout'],
    to: ['graceful_timeout'],
    doc: 'Milliseconds become seconds. The default is 30 seconds, that of pm2 is 1.6.',
    convert: (value) => withSeconds('graceful_timeout', value),
  },
  {
    names: ['listen_timeout'],
    to: ['boot_timeout'],
    doc:
      'Milliseconds become seconds. A worker that is not ready by then counts as failed; pm2 ' +
      'would continue.',
    convert: (value) => withSeconds('boot_timeout', value),
  },
  {
    names: ['wait_ready'],
    to: [],
    doc:
      "A worker is ready when the application listens. process.send('ready') is ignored. For " +
      'work before that, listen later or export startup().',
  },
  {
    names: ['shutdown_with_message'],
    to: [],
    doc: 'Workers receive SIGTERM and no message. Move the work to a SIGTERM listener.',
  },
  {
    names: ['watch'],
    to: ['reload', 'reload_extra_files'],
    doc: 'For development only. Files that the application loads are watched in any case.',
    isRemarked: true,
    convert: (value) => ({
      reload: true,
      ...(value === true ? {} : { reload_extra_files: Array.isArray(value) ? value : [value] }),
    }),
  },
  {
    names: ['ignore_watch', 'watch_options', 'watch_delay'],
    to: [],
    doc: 'Only files that the application has loaded are watched, and those of reload_extra_files.',
  },
  {
    names: ['log_file', 'log'],
    to: ['errorlog', 'capture_output'],
    doc: 'The log of the server and both output streams of the workers are in one file.',
    convert: (value) => (value === true ? undefined : outputFile(value)),
  },
  {
    names: ['error_file', 'error', 'err', 'err_file', 'err_log'],
    to: ['errorlog', 'capture_output'],
    doc: 'The file also has the log of the server and the standard output of the workers.',
    convert: (value, app) => (isSet(app, 'log_file', 'log') ? {} : outputFile(value)),
  },
  {
    names: ['out_file', 'out', 'output', 'out_log'],
    to: ['errorlog', 'capture_output'],
    doc: 'Both output streams are written to errorlog. This file is used if error_file is not set.',
    convert: (value, app) => {
      if (isSet(app, 'log_file', 'log')) return {}
      const file = outputFile(value)
      return file !== undefined && isSet(app, 'error_file', 'error', 'err', 'err_file', 'err_log')
        ? undefined
        : file
    },
  },
  {
    names: ['disable_logs'],
    to: ['errorlog'],
    doc: 'The log is written to /dev/null.',
    convert: () => ({ errorlog: '/dev/null' }),
  },
  {
    names: ['log_type'],
    to: ['error_log_format'],
    doc: '"json" writes an object per line.',
    convert: (value) => (value === 'json' ? { error_log_format: 'json' } : undefined),
  },
  {
    names: ['log_date_format', 'time'],
    to: [],
    doc: 'Each line of the log of the server has the time, in the format of Gunicorn.',
  },
  {
    names: ['merge_logs', 'combine_logs'],
    to: [],
    doc: 'All workers write to one log.',
    convert: () => ({}),
  },
  {
    names: ['pid_file', 'pid'],
    to: ['pidfile'],
    doc: 'The file has the process id of the arbiter: signal that process, not the workers.',
    convert: (value) => ({ pidfile: value }),
  },
  {
    names: ['uid', 'user'],
    to: ['user'],
    doc: 'The user of the workers. The arbiter keeps its own.',
    convert: (value) => ({ user: String(value) }),
  },
  {
    names: ['gid'],
    to: ['group'],
    doc: 'The group of the workers.',
    convert: (value) => ({ group: String(value) }),
  },
  {
    names: ['cron_restart', 'cron'],
    to: [],
    doc:
      'Monoceros has no schedule. Let cron run "monoceros ctl reload", which loses no request, ' +
      'or set max_worker_lifetime to a number of seconds.',
  },
  {
    names: ['autorestart', 'stop_exit_codes'],
    to: [],
    isOnByDefault: true,
    doc: 'A worker that exits is always replaced. A server that never restarts stays with pm2.',
  },
  {
    names: ['min_uptime', 'max_restarts', 'restart_delay', 'exp_backoff_restart_delay'],
    to: [],
    doc:
      'A worker that crashes is replaced after a delay that doubles from 1 second up to 30. If ' +
      'no worker can start, the server exits.',
  },
  {
    names: ['source_map_support', 'disable_source_map_support'],
    to: [],
    isOnByDefault: true,
    doc: 'Add NODE_OPTIONS=--enable-source-maps to raw_env for stacks with the original lines.',
  },
  {
    names: ['namespace', 'name_prefix', 'append_env_to_name'],
    to: [],
    doc: 'Each application has a server of its own. proc_name distinguishes them.',
  },
  {
    names: ['treekill'],
    to: [],
    isOnByDefault: true,
    doc: 'Signals are sent to the workers. An application stops its own child processes.',
  },
  {
    names: ['force', 'execute_command', 'windowsHide', 'kill_retry_time', 'write', 'username'],
    to: [],
    isOnByDefault: true,
    doc: 'It controls the command line of pm2, which is not used any more.',
  },
  {
    names: [
      ...['vizion', 'post_update', 'pmx', 'automation', 'trace', 'disable_trace', 'v8', 'io'],
      ...['deep_monitoring', 'event_loop_inspector', 'install_url'],
    ],
    to: [],
    isOnByDefault: true,
    doc:
      'It belongs to the monitoring service of pm2. metrics_bind serves metrics to Prometheus, ' +
      'and monoceros ctl top shows them.',
  },
]

/** Finds the row of an option. */
export function findPm2Row(name: string): Pm2Row | undefined {
  const known = name.startsWith('env_') ? 'env_NAME' : name
  return PM2_ROWS.find(({ names }) => names.includes(known))
}

function convertEnvironment(value: unknown): Converted {
  if (typeof value !== 'object' || value === null) return undefined
  const variables = Object.entries(value).filter(([, one]) => one !== undefined && one !== null)
  const port = variables.find(([name]) => name === 'PORT')?.[1]
  const isPort = /^\d+$/.test(String(port))
  const entries = variables.map(([name, one]) => environmentEntry(name, one))
  return {
    ...(isPort ? { bind: `0.0.0.0:${port}` } : {}),
    ...(entries.length === 0 ? {} : { raw_env: entries }),
  }
}

function environmentEntry(name: string, value: unknown): string | Code {
  if (value instanceof Code) {
    // The text of a template: the name and its equals sign are put in front.
    return new Code(`\`${name}=${value.text}\``, `${name}=${value.example}`)
  }
  const text = typeof value === 'object' ? JSON.stringify(exampleOf(value)) : String(value)
  return `${name}=${text}`
}

function words(value: unknown): string[] | undefined {
  if (Array.isArray(value)) return value.map(String)
  if (typeof value !== 'string') return undefined
  try {
    return shellWords(value)
  } catch {
    // A quote is not closed. The new file has the text in a comment.
    return undefined
  }
}

function withList(setting: RowName, list: readonly string[] | undefined): Converted {
  if (list === undefined) return undefined
  return list.length === 0 ? {} : { [setting]: list }
}

function withSeconds(setting: RowName, value: unknown): Converted {
  return TIME.test(String(value)) ? { [setting]: Number(value) / 1_000 } : undefined
}

function outputFile(value: unknown): Converted {
  if (typeof value !== 'string' || value === '') return undefined
  return NO_FILE.includes(value)
    ? { errorlog: '/dev/null', capture_output: true }
    : { errorlog: value, capture_output: true }
}

function isSet(app: Pm2App, ...names: readonly string[]): boolean {
  return names.some((name) => typeof app[name] === 'string')
}
