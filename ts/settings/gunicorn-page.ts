/**
 * Writes docs/gunicorn.md from the tables: what Monoceros does with each setting, signal and hook
 * of Gunicorn, and the test that proves it.
 */
import { HOOK_NAMES, HOOKS, type HookName } from '../hooks/table.ts'
import { LOG_LINES, type LogLine, type LogLineName } from '../log/log-lines.ts'
import { SIGNAL_NAMES, SIGNALS, type SignalName } from '../signals.ts'
import { escapeHtml, exampleText, listItem } from './markdown.ts'
import { ROWS, type RowName } from './names.ts'
import { firstSentence } from './print.ts'
import { type InapplicableRow, type Row, SECTIONS, type Section } from './rows.ts'

const HEAD = `# For users of Gunicorn

This page lists what Monoceros does with each setting, signal and hook of Gunicorn. Names, flags and
defaults are those of Gunicorn, except where the pages with the details describe a difference:

- [settings.md](settings.md) has the full text of each setting,
- [signals.md](signals.md) has the signals,
- [hooks.md](hooks.md) has the hooks.

If you set something that is not supported yet or has no meaning here, an error or a warning names
it. Only settings that ask for nothing are ignored silently.

Each entry names the test that proves it. Test files are below \`__test__/\` unless their path
begins with \`crates/\`.

## Settings

The list contains the settings of Gunicorn and those that Monoceros adds.
`

const LINES_HEAD = `
## Log lines

These are the lines that the arbiter and the workers themselves write to the error log, with
Gunicorn's line if it has one. Angle brackets mark the parts that vary. The error log also has:

- the texts of [errors](errors.md),
- warnings about settings,
- what the application logs and prints.

With \`error_log_format=json\`, the line is the field \`msg\`, and \`time\`, \`level\` and \`pid\`
are fields, too ([logging.md](logging.md)).

`

const WHEN_SET: Readonly<Record<InapplicableRow['whenSet'], string>> = {
  ignore: 'ignored',
  warn: 'ignored with a warning',
  reject: 'rejected',
}

/** Finds the test that proves an entry, as `file › title`; undefined where there is none. */
export interface Proofs {
  readonly setting: (name: RowName, row: Row) => string | undefined
  readonly signal: (name: SignalName) => string
  readonly hook: (name: HookName) => string
  readonly line: (name: LogLineName) => string
}

/** Returns the text of docs/gunicorn.md. */
export function gunicornPage(proofs: Proofs): string {
  return [
    HEAD,
    ...SECTIONS.map((section) => settingsOfSection(section, proofs)),
    '\n## Signals\n',
    ...SIGNAL_NAMES.map((name) => signalEntry(name, proofs)),
    '\n## Hooks\n',
    ...HOOK_NAMES.map((name) => hookEntry(name, proofs)),
    ...ROWS.map(([name, row]) => plannedHookEntry(name, row, proofs)),
    LINES_HEAD,
    ...Object.entries<LogLine>(LOG_LINES).map(([name, row]) =>
      logLineEntry(row, proofs.line(name as LogLineName)),
    ),
  ].join('')
}

function settingsOfSection(section: Section, proofs: Proofs): string {
  const rows = ROWS.filter(([, row]) => row.section === section && section !== 'Hooks')
  if (rows.length === 0) return ''
  const entries = rows.map(
    ([name, row]) =>
      listItem(`${settingName(name, row)}: ${effectOf(row)}`) +
      listItem(testOf(proofs.setting(name, row)), 1),
  )
  return `\n### ${section}\n\n${entries.join('')}`
}

function settingName(name: RowName, row: Row): string {
  return row.status === 'supported' ? `[\`${name}\`](settings.md#${name})` : `\`${name}\``
}

function effectOf(row: Row): string {
  if (row.status === 'supported') return `supported. ${escapeHtml(firstSentence(row.doc))}`
  if (row.status === 'planned') return `not supported yet; an error names it. ${row.doc}`
  return `${WHEN_SET[row.whenSet]}, because ${row.reason}.`
}

function signalEntry(name: SignalName, proofs: Proofs): string {
  const { arbiterDoc, workerDoc } = SIGNALS[name]
  return [
    `\n### ${name}\n\n`,
    listItem(`Arbiter: ${arbiterDoc}`),
    listItem(`Worker: ${workerDoc}`),
    listItem(testOf(proofs.signal(name))),
  ].join('')
}

function hookEntry(name: HookName, proofs: Proofs): string {
  const { process, doc, onFailure } = HOOKS[name]
  return [
    `\n### ${name}\n\n`,
    listItem(`Process: ${process}.`),
    listItem(doc),
    listItem(`After an exception: ${onFailure}`),
    listItem(testOf(proofs.hook(name))),
  ].join('')
}

function plannedHookEntry(name: RowName, row: Row, proofs: Proofs): string {
  if (row.section !== 'Hooks' || row.status !== 'planned') return ''
  const test = listItem(testOf(proofs.setting(name, row)))
  return `\n### ${name}\n\n${listItem(`Not supported yet; an error names it. ${row.doc}`)}${test}`
}

function logLineEntry(row: LogLine, proof: string): string {
  const process = row.by === 'both' ? 'arbiter and worker' : row.by
  const gunicorn = row.gunicorn === undefined ? 'none' : `\`${row.gunicorn}\``
  return [
    listItem(`\`${exampleText(row.text)}\``),
    listItem(`Process: ${process}. Level: ${row.level}.`, 1),
    listItem(`Gunicorn: ${gunicorn}.`, 1),
    listItem(testOf(proof), 1),
  ].join('')
}

function testOf(proof: string | undefined): string {
  if (proof === undefined) return 'Test: none yet.'
  const [file = '', title] = proof.split(' › ')
  return title === undefined ? `Test: \`${file}\`.` : `Test: \`${file}\`, "${escapeHtml(title)}".`
}
