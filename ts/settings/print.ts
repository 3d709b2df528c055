/**
 * Writes the texts of --help and --print-config.
 */
import { join } from 'node:path'

import { packageDirectory } from '../process/version.ts'
import { ARBITER_SIGNALS, SIGNALS } from '../signals.ts'
import type { ResolvedConfig } from './config.ts'
import { flagOf, ROWS } from './names.ts'
import { type Row, SECTIONS, type Section, type SupportedRow } from './rows.ts'
import { wrapWords } from './wrap.ts'

const HELP_COLUMNS = 100
const FLAGS_COLUMNS = 38

const HEAD = `Usage: monoceros [OPTIONS] APP [-- ARGUMENTS]

Serves a Node.js application in supervised worker processes.
APP is FILE, DIRECTORY or FILE:EXPORT, as in ./app.js, . or ./server.js:app.

`

/** Command lines for the first minutes, each with its effect. */
const EXAMPLES = [
  ['monoceros app.js -w 4 -b :8000', 'Serves app.js with four workers, on port 8000.'],
  ['monoceros app.js --reload', 'Restarts the workers when a file changes.'],
  ['monoceros app.js --check-config', 'Checks the settings and the application, and exits.'],
  ['monoceros ctl status', 'Shows the state of the running server; see monoceros ctl --help.'],
  ['monoceros doctor app.js', 'Checks the machine and the settings for production.'],
  ['monoceros migrate FILE', 'Prints the config file for a file of pm2 or Gunicorn.'],
  ['monoceros app.js --access-logfile -', 'Logs each request on standard output.'],
] as const

const makeFooter = () => `
Settings can also come from a config file (monoceros.config.js, .mjs, .cjs, .ts, .json or
${flagOf('config')}), from the environment as MONOCEROS_<NAME>, and from flags in
MONOCEROS_CMD_ARGS.
A later source wins: default, file, environment, MONOCEROS_CMD_ARGS, command line.

The pages that are named here and in messages are in
${join(packageDirectory(), 'docs')}
settings.md describes each setting, signals.md each signal.
`

/** Returns the text of --help. */
export function helpText(): string {
  const general = [
    entry('-h, --help', 'Prints this help and exits.'),
    entry('-v, --version', 'Prints the version and exits.'),
  ]
  const sections = SECTIONS.map(sectionHelp).filter((text) => text !== '')
  const examples = EXAMPLES.map(([command, effect]) => entry(command, effect))
  const signals = ARBITER_SIGNALS.map((name) => {
    return entry(`kill -${name} PID`, firstSentence(SIGNALS[name].arbiterDoc).replaceAll('`', ''))
  })
  return [
    ...[HEAD, ...general, ...sections],
    ...['\nSignals to the arbiter:\n', ...signals],
    ...['\nExamples:\n', ...examples],
    makeFooter(),
  ].join('')
}

/** Returns the text of --print-config: every setting by name, with its value and origin. */
export function configText(resolved: Pick<ResolvedConfig, 'values' | 'origins'>): string {
  const settings = describeSettings(resolved)
  const names = Math.max(...settings.map(({ name }) => name.length))
  return settings
    .map(({ name, value, origin }) => `${name.padEnd(names)} = ${value}  # ${origin}\n`)
    .join('')
}

/** One setting as text. */
export interface DescribedSetting {
  readonly name: string
  readonly value: string
  readonly origin: string
}

/** Returns every setting by name, with its value and origin. */
export function describeSettings({
  values,
  origins,
}: Pick<ResolvedConfig, 'values' | 'origins'>): DescribedSetting[] {
  const entries = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))
  const kinds = new Map<string, Row['kind']>(ROWS.map(([name, { kind }]) => [name, kind]))
  const originOf: Readonly<Record<string, string>> = origins
  return entries.map(([name, value]) => {
    return { name, value: valueText(value, kinds.get(name)), origin: originOf[name] ?? 'default' }
  })
}

function valueText(value: unknown, kind: Row['kind'] | undefined): string {
  if (value !== null && kind?.toText !== undefined) return kind.toText(value)
  return typeof value === 'function' ? `<${value.name}()>` : JSON.stringify(value)
}

/** Returns the default of a setting with its unit; undefined if the setting is off or not set. */
export function defaultText(row: Row): string | undefined {
  const { default: value, kind } = row
  if (value === null || value === '' || value === false) return undefined
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  const unit = kind.unit === undefined || value === 0 ? '' : ` ${kind.unit}`
  return `${value}${unit}`
}

function sectionHelp(section: Section): string {
  const rows = ROWS.map(([, row]) => row).filter(
    (row): row is SupportedRow => row.status === 'supported' && row.section === section,
  )
  const entries = rows.filter((row) => row.flags !== undefined).map(rowHelp)
  return entries.length === 0 ? '' : `\n${section}:\n${entries.join('')}`
}

function rowHelp(row: SupportedRow): string {
  const [first = '', second] = row.flags ?? []
  const names =
    first.startsWith('--') || second === undefined ? `    ${first}` : `${first}, ${second}`
  const flags = row.kind.placeholder === '' ? names : `${names} ${row.kind.placeholder}`
  const value = defaultText(row)
  // The default of access_log_format is longer than its description.
  const suffix = value === undefined || value.includes('%') ? '' : ` [${value}]`
  return entry(flags, firstSentence(row.doc) + suffix)
}

/** Returns the first sentence of a description. */
export function firstSentence(doc: string): string {
  return /^.*?\.(?=\s|$)/s.exec(doc)?.[0] ?? doc
}

function entry(flags: string, text: string): string {
  const indent = ' '.repeat(FLAGS_COLUMNS)
  const lines = wrapWords(text.split(' '), HELP_COLUMNS - FLAGS_COLUMNS)
  const left = `  ${flags}`
  const fits = left.length < FLAGS_COLUMNS - 1
  const head = fits ? left.padEnd(FLAGS_COLUMNS) + lines.shift() : left
  return `${[head, ...lines.map((line) => indent + line)].join('\n')}\n`
}
