/** The arguments of `monoceros ctl`. */

import { describeCommands } from '../../control/commands.ts'
import { monocerosError } from '../../errors.ts'
import { formatEntries } from '../../text/format.ts'
import type { InstanceChoice } from './instances.ts'

/** The arguments, parsed. */
export interface CtlArguments extends InstanceChoice {
  readonly isJson: boolean
  readonly isHelp: boolean
  /** The command and its arguments; empty for the prompt. */
  readonly words: readonly string[]
}

/** One option of `monoceros ctl`. */
export interface CtlOption {
  readonly short: `-${string}`
  readonly long: `--${string}`
  /** Name of the value; undefined for a switch. */
  readonly value?: string
  readonly doc: string
}

/** The options, by the field that they set. */
export const CTL_OPTIONS = {
  socket: {
    short: '-s',
    long: '--socket',
    value: 'PATH',
    doc: 'Path of the control socket.',
  },
  instance: {
    short: '-i',
    long: '--instance',
    value: 'PID|NAME',
    doc: 'The instance with this arbiter pid or proc_name.',
  },
  json: { short: '-j', long: '--json', doc: 'Prints the answer as JSON.' },
  help: { short: '-h', long: '--help', doc: 'Prints this help.' },
} as const satisfies Record<string, CtlOption>

/** Commands that the client carries out itself. */
export const CLIENT_COMMANDS = {
  list: { usage: '', words: [], doc: 'Lists the running instances of this user.' },
  completion: {
    usage: 'bash|zsh|fish',
    words: ['bash', 'zsh', 'fish'],
    doc: 'Prints a completion script for a shell.',
  },
} as const

const COMMAND_COLUMNS = 21

/** Parses the arguments after `ctl`. Options are allowed before and after the command. */
export function parseCtlArguments(argv: readonly string[]): CtlArguments {
  const words: string[] = []
  const given = { socket: undefined, instance: undefined } as Record<string, string | undefined>
  const switches = new Set<string>()
  const rest = [...argv]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const found = Object.entries<CtlOption>(CTL_OPTIONS).find(
      ([, { short, long }]) => word === short || word === long || word?.startsWith(`${long}=`),
    )
    if (found === undefined) {
      // `-1` is an argument of scale, and `-f` one of logs.
      const isOption = word.startsWith('-') && words.length === 0
      if (isOption) throw monocerosError('ERR_CTL_USAGE', `unknown option ${word}`)
      words.push(word)
      continue
    }
    const [name, { long, value }] = found
    const inline = word.startsWith(`${long}=`) ? word.slice(long.length + 1) : undefined
    if (value === undefined) {
      if (inline !== undefined) throw monocerosError('ERR_CTL_USAGE', `${long} takes no value`)
      switches.add(name)
      continue
    }
    const text = inline ?? rest.shift()
    if (text === undefined || text === '')
      throw monocerosError('ERR_CTL_USAGE', `${long} needs a value`)
    given[name] = text
  }
  const { socket, instance } = given
  return {
    ...(socket === undefined ? {} : { socket }),
    ...(instance === undefined ? {} : { instance }),
    isJson: switches.has('json'),
    isHelp: switches.has('help'),
    words,
  }
}

/** Returns the text of `monoceros ctl --help`. */
export function ctlHelpText(): string {
  const options = Object.values<CtlOption>(CTL_OPTIONS).map(
    ({ short, long, value, doc }) =>
      [`  ${short}, ${long}${value === undefined ? '' : ` ${value}`}`, doc] as const,
  )
  const commands = describeCommands().map(({ command, doc }) => [`  ${command}`, doc] as const)
  const own = Object.entries(CLIENT_COMMANDS).map(
    ([name, { usage, doc }]) => [`  ${name} ${usage}`.trimEnd(), doc] as const,
  )
  return [
    'Usage: monoceros ctl [OPTIONS] [COMMAND]\n\n',
    'Controls a running server. Without a command it is a prompt.\n\n',
    formatEntries(options, COMMAND_COLUMNS),
    '\nCommands:\n',
    formatEntries(commands, COMMAND_COLUMNS),
    '\nCommands without a server:\n',
    formatEntries(own, COMMAND_COLUMNS),
  ].join('')
}
