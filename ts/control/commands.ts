/**
 * The table of all commands of the control socket. The help, the completion, the arguments of
 * `monoceros ctl` and docs/control.md come from it. `ts/arbiter/commands.ts` carries them out.
 */

/** One command. */
export interface CommandRow {
  /** Arguments as the help shows them: `N|+N|-N`. */
  readonly usage: string
  /** Words that completion offers as the first argument. */
  readonly words?: readonly string[]
  /** One sentence for the help. */
  readonly doc: string
  /** True if the command changes the server. Such a command is logged. */
  readonly changes: boolean
  /** Returns the problem of wrong arguments, as the end of "COMMAND: ...". */
  readonly findProblem: (args: readonly string[]) => string | undefined
}

const MIN_PROFILE_SECONDS = 1
const MAX_PROFILE_SECONDS = 300
const MAX_PORT = 65_535

/** The table of commands, in the order of the help. */
export const COMMANDS = {
  status: {
    usage: '',
    doc: 'Shows the state of the server.',
    changes: false,
    findProblem: refuseArguments,
  },
  workers: {
    usage: '',
    doc: 'Lists the workers.',
    changes: false,
    findProblem: refuseArguments,
  },
  stats: {
    usage: '',
    doc: 'Shows the totals of all workers since the start.',
    changes: false,
    findProblem: refuseArguments,
  },
  top: {
    usage: '',
    doc: 'Shows the load of each worker, live on a terminal.',
    changes: false,
    findProblem: refuseArguments,
  },
  config: {
    usage: '[NAME]',
    doc: 'Shows all settings in use with their origin, or one.',
    changes: false,
    findProblem: (args) => (args.length > 1 ? 'at most one NAME is allowed' : undefined),
  },
  listeners: {
    usage: '',
    doc: 'Lists the addresses that the server listens on.',
    changes: false,
    findProblem: refuseArguments,
  },
  reload: {
    usage: '',
    doc: 'Reads the settings and replaces the workers, as HUP does.',
    changes: true,
    findProblem: refuseArguments,
  },
  reopen: {
    usage: '',
    doc: 'Opens the log files again, as USR1 does.',
    changes: true,
    findProblem: refuseArguments,
  },
  scale: {
    usage: 'N|+N|-N',
    doc: 'Changes the number of workers, until the next reload.',
    changes: true,
    findProblem: ([count, ...more]) =>
      count !== undefined && /^[+-]?\d{1,6}$/.test(count) && more.length === 0
        ? undefined
        : 'one argument is needed: N, +N or -N',
  },
  worker: {
    usage: 'kill PID',
    words: ['kill'],
    doc: 'Stops a worker gracefully; a successor starts at once.',
    changes: true,
    findProblem: ([action, pid, ...more]) =>
      action === 'kill' && isPid(pid) && more.length === 0
        ? undefined
        : 'the arguments must be: kill PID',
  },
  profile: {
    usage: 'PID [--seconds N]',
    doc: 'Records a CPU profile of a worker, by default for 10 s.',
    changes: true,
    findProblem: ([pid, flag, seconds, ...more]) => {
      const isTime = flag === '--seconds' && /^\d{1,4}$/.test(seconds ?? '')
      if (!isPid(pid) || (flag !== undefined && !isTime) || more.length > 0)
        return 'the arguments must be: PID or PID --seconds N'
      const count = Number(seconds ?? MIN_PROFILE_SECONDS)
      return count >= MIN_PROFILE_SECONDS && count <= MAX_PROFILE_SECONDS
        ? undefined
        : `N must be from ${MIN_PROFILE_SECONDS} to ${MAX_PROFILE_SECONDS}, got ${seconds}`
    },
  },
  'heap-snapshot': {
    usage: 'PID',
    doc: 'Writes a heap snapshot of a worker, which stops meanwhile.',
    changes: true,
    findProblem: ([pid, ...more]) =>
      isPid(pid) && more.length === 0 ? undefined : 'one argument is needed: PID',
  },
  inspect: {
    usage: 'PID [PORT|off]',
    doc: 'Opens a worker to a debugger on 127.0.0.1, or closes it.',
    changes: true,
    findProblem: ([pid, port = '0', ...more]) =>
      isPid(pid) && (port === 'off' || isPort(port)) && more.length === 0
        ? undefined
        : 'the arguments must be: PID, PID PORT or PID off',
  },
  shutdown: {
    usage: '[quick]',
    words: ['quick'],
    doc: 'Stops the server gracefully (TERM), or quickly (INT).',
    changes: true,
    findProblem: ([how = 'quick', ...more]) =>
      how === 'quick' && more.length === 0 ? undefined : 'the only argument allowed is quick',
  },
  logs: {
    usage: '[-f]',
    words: ['-f'],
    doc: 'Prints the end of the error log, and with -f each new line.',
    changes: false,
    findProblem: ([flag = '-f', ...more]) =>
      flag === '-f' && more.length === 0 ? undefined : 'the only argument allowed is -f',
  },
  help: {
    usage: '',
    doc: 'Lists the commands.',
    changes: false,
    findProblem: refuseArguments,
  },
} as const satisfies Record<string, CommandRow>

export type CommandName = keyof typeof COMMANDS

export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[]

/** Returns the row of a command. */
export function rowOfCommand(name: CommandName): CommandRow {
  return COMMANDS[name]
}

export function isCommandName(text: string): text is CommandName {
  return Object.hasOwn(COMMANDS, text)
}

/** Lists the commands: `scale N|+N|-N`, and what each does. */
export function describeCommands(): { readonly command: string; readonly doc: string }[] {
  return COMMAND_NAMES.map((name) => {
    const { usage, doc } = rowOfCommand(name)
    return { command: `${name} ${usage}`.trim(), doc }
  })
}

/** Returns the rows of the table in docs/control.md. */
export function renderCommandRows(): string {
  return describeCommands()
    .map(({ command, doc }) => `| \`${command.replaceAll('|', '\\|')}\` | ${doc} |\n`)
    .join('')
}

function isPid(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,10}$/.test(text)
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= MAX_PORT
}

function refuseArguments(args: readonly string[]): string | undefined {
  return args.length === 0 ? undefined : `no argument is allowed, got "${args.join(' ')}"`
}
