/**
 * Parses the command line with commander. The options come from the settings table. Values stay
 * text: they are checked together with those of the other sources, so that a mistake has one
 * message only.
 */
import { createRequire } from 'node:module'
import type {
  CommanderError as CommanderErrorType,
  Command as CommandType,
  Option as OptionType,
} from 'commander'

import { monocerosError } from '../errors.ts'
import type { SettingEntry } from './layer.ts'
import { ROWS, type RowName, rowOf } from './names.ts'
import { didYouMean } from './nearest.ts'
import type { Row } from './rows.ts'

// Loaded by `require`: an import of a CommonJS module makes Node find its exports first, with a
// parser that takes three megabytes of memory.
const { Command, CommanderError, Option } = createRequire(import.meta.url)(
  'commander',
) as typeof import('commander')

export interface CommandLine {
  readonly help: boolean
  readonly version: boolean
  readonly given: readonly SettingEntry[]
}

export const HELP_FLAGS = ['-h', '--help'] as const
export const VERSION_FLAGS = ['-v', '--version'] as const
/** What follows is for the application, as with npm and pm2. */
const END_OF_FLAGS = '--'

/** Parses arguments. `where` follows the name of a flag in messages, as in `--workers in FILE`. */
export function parseArgv(argv: readonly string[], where = ''): CommandLine {
  const program = new Command('monoceros')
    .argument('[app]')
    .allowExcessArguments(false)
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
  const texts = new Map<RowName, { flag: string; values: (string | true)[] }>()
  const asked = new Set<string>()

  addOption(program, new Option(HELP_FLAGS.join(', ')), () => asked.add('help'))
  addOption(program, new Option(VERSION_FLAGS.join(', ')), () => asked.add('version'))
  for (const [name, row] of ROWS) {
    for (const { short, long } of spellings(row)) {
      const flags = `${short === undefined ? '' : `${short}, `}${long}${argumentOf(row)}`
      addOption(program, new Option(flags), (value) => {
        const entry = texts.get(name) ?? { flag: long, values: [] }
        entry.values.push(value ?? row.kind.bareFlagValue ?? true)
        texts.set(name, entry)
      })
    }
  }
  const end = argv.indexOf(END_OF_FLAGS)
  const own = end < 0 ? argv : argv.slice(0, end)
  parse(program, own.map(withBareValue))

  const given = [...texts].map(([name, { flag, values }]): SettingEntry => {
    return { name, value: valueIn(rowOf(name), values), subject: flag + where }
  })
  const app = program.args[0]
  if (app !== undefined) given.push({ name: 'app', value: app, subject: `the application${where}` })
  if (end >= 0) {
    const subject = `the arguments after ${END_OF_FLAGS}${where}`
    given.push({ name: 'app_args', value: argv.slice(end + 1), subject })
  }
  return { help: asked.has('help'), version: asked.has('version'), given }
}

// Adds the default value. Otherwise commander would take the next argument for the value.
function withBareValue(argument: string): string {
  const row = ROWS.find(([, { flags }]) => flags?.some((flag) => flag === argument))?.[1]
  return row?.kind.requiresEqualsSign === true ? `${argument}=${row.kind.bareFlagValue}` : argument
}

// A commander option has one short and one long flag, so every further spelling is its own option.
function spellings(row: Row): { short?: string; long: string }[] {
  const flags = row.flags ?? []
  const short = flags.find((flag) => !flag.startsWith('--'))
  const longs = flags.filter((flag) => flag.startsWith('--'))
  return longs.map((long, index) => (index === 0 ? { short, long } : { long }))
}

function argumentOf(row: Row): string {
  if (row.kind.placeholder === '') return ''
  return row.kind.bareFlagValue === undefined ? ' <value>' : ' [value]'
}

// The event reports each occurrence with its text, unlike commander's own store of values. It also
// makes `--no-sendfile` an ordinary flag.
function addOption(
  program: CommandType,
  option: OptionType,
  onGiven: (value: string | null | undefined) => void,
): void {
  program.addOption(option)
  program.on(`option:${option.name()}`, onGiven)
}

function valueIn(row: Row, values: (string | true)[]): unknown {
  if (row.kind.list !== undefined) return values
  const last = values.at(-1)
  return last === true ? row.flagTurnsOff !== true : last
}

function parse(program: CommandType, argv: readonly string[]): void {
  try {
    program.parse(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    throw usageError(error, program.args)
  }
}

// Commander's errors have a text only, so the name of the flag is extracted from it.
function usageError({ code, message }: CommanderErrorType, args: readonly string[]): Error {
  if (code === 'commander.excessArguments') {
    const extra = args.slice(1).join(' ')
    return monocerosError(
      'ERR_FLAG_USAGE',
      `unexpected "${extra}" after the application; its own arguments follow "--"`,
    )
  }
  const quoted = /'(?<flags>-[^']*)'/.exec(message)?.groups?.flags ?? ''
  if (code === 'commander.optionMissingArgument') {
    return monocerosError('ERR_FLAG_USAGE', `${quoted.replace(/ <.*/, '')} needs a value`)
  }
  if (code !== 'commander.unknownOption') return monocerosError('ERR_FLAG_USAGE', message)
  const flag = quoted.replace(/=.*/s, '')
  if (allLongFlags().includes(flag)) {
    return monocerosError('ERR_FLAG_USAGE', `${flag} takes no value`)
  }
  const known = flag.startsWith('--') ? allLongFlags() : []
  return monocerosError(
    'ERR_FLAG_UNKNOWN',
    flag,
    didYouMean(flag, known, (found) => found),
  )
}

function allLongFlags(): string[] {
  const flags = [...HELP_FLAGS, ...VERSION_FLAGS, ...ROWS.flatMap(([, row]) => row.flags ?? [])]
  return flags.filter((flag) => flag.startsWith('--'))
}
