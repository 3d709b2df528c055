/** docs/gunicorn.md: what Monoceros does about each setting, signal and hook of Gunicorn, from the tables themselves. */

import { HOOK_NAMES, HOOKS, type HookName } from '../hooks/table.ts'
import { LOG_LINES, type LogLine, type LogLineName } from '../log/log-lines.ts'
import { SIGNALS, type SignalName } from '../signals.ts'
import { ROWS, type RowName } from './names.ts'
import { type Row, SECTIONS } from './rows.ts'

const HEAD = `# For users of Gunicorn

What Monoceros does about each setting, signal and hook of Gunicorn. Names, flags and defaults are Gunicorn's where nothing
else is said; the whole text of a setting is in [settings.md](settings.md), of the signals in [signals.md](signals.md), of
the hooks in [hooks.md](hooks.md). Whoever gives a setting that is not built yet, or that cannot mean anything here, is
told so: nothing is passed over in silence but what asks for nothing. The last column names the test that shows it; files
are below \`__test__/\` where they do not begin with \`crates/\`.

## Settings

The list has Gunicorn's settings and those that Monoceros adds.
`

const LINES_HEAD = `
## Log lines

The lines that the arbiter and the workers write into the error log by themselves, what stands in their places in angle
brackets, and Gunicorn's line where it has one. Beside them there are the texts of [errors](errors.md), warnings about
settings, and what the application logs and prints. With \`error_log_format=json\` a line is the field \`msg\`, and \`time\`,
\`level\` and \`pid\` are fields too ([logging.md](logging.md)).

| process | level | line | Gunicorn's | test |
| --- | --- | --- | --- | --- |
`

/** The test that shows what a row says, as `file › title`; undefined where there is none. */
export interface Proofs {
  readonly setting: (name: RowName, row: Row) => string | undefined
  readonly signal: (name: SignalName) => string
  readonly hook: (name: HookName) => string
  readonly line: (name: LogLineName) => string | undefined
}

/** The text of docs/gunicorn.md. */
export function gunicornPage(proofs: Proofs): string {
  const sections = SECTIONS.map((section) => {
    const rows = ROWS.filter(([, row]) => row.section === section && row.section !== 'Hooks')
    if (rows.length === 0) return ''
    const lines = rows.map(
      ([name, row]) =>
        `| \`${name}\` | ${verdict(row)} | ${cell(what(row))} | ${test(proofs.setting(name, row))} |\n`,
    )
    return `\n### ${section}\n\n| setting | | what it does | test |\n| --- | --- | --- | --- |\n${lines.join('')}`
  })
  const signals = (Object.keys(SIGNALS) as SignalName[]).map((name) => {
    const { arbiterDoc, workerDoc } = SIGNALS[name]
    return `| \`${name}\` | ${cell(arbiterDoc)} | ${cell(workerDoc)} | ${test(proofs.signal(name))} |\n`
  })
  const hooks = HOOK_NAMES.map((name) => {
    const { process, doc, failure } = HOOKS[name]
    return `| \`${name}\` | ${process} | ${cell(doc)} | ${cell(failure)} | ${test(proofs.hook(name))} |\n`
  })
  const later = ROWS.filter(([, row]) => row.section === 'Hooks' && row.status === 'planned').map(
    ([name, row]) =>
      `| \`${name}\` | | Not built yet; an error names it. ${cell(row.doc)} | | ${test(proofs.setting(name, row))} |\n`,
  )
  const lines = Object.entries<LogLine>(LOG_LINES).map(([name, row]) => {
    const proof = proofs.line(name as LogLineName)
    const text = cell(exampleText(row.text))
    return `| ${row.by} | ${row.level} | ${text} | ${cell(row.gunicorn ?? '')} | ${test(proof)} |\n`
  })
  return [
    HEAD,
    ...sections,
    '\n## Signals\n\n| signal | arbiter | worker | test |\n| --- | --- | --- | --- |\n',
    ...signals,
    '\n## Hooks\n\n| hook | process | when | an exception | test |\n| --- | --- | --- | --- | --- |\n',
    ...hooks,
    ...later,
    LINES_HEAD,
    ...lines,
  ].join('')
}

function verdict(row: Row): string {
  if (row.status === 'supported') return 'works'
  return row.status === 'planned' ? 'not yet' : 'no meaning'
}

function what(row: Row): string {
  if (row.status === 'supported') return row.doc
  if (row.status === 'planned') return `${row.doc} Not built yet; an error names it.`
  const acts = { ignore: 'Taken and passed over', warn: 'Taken with a warning', reject: 'Refused' }
  return `${acts[row.whenSet]}: ${row.reason}.`
}

function test(proof: string | undefined): string {
  if (proof === undefined) return 'none yet'
  const [file = '', title] = proof.split(' › ')
  return title === undefined ? `\`${file}\`` : `\`${file}\`: ${cell(title)}`
}

/** A text as it stands in a table of Markdown. */
export function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ')
}

/** The text that a function makes, with the names of its details in their places. */
export function exampleText(text: (...details: string[]) => string): string {
  const parameters = /^\(?([^)=]*)\)?\s*=>/.exec(text.toString())?.[1] ?? ''
  const names = parameters.split(',').map((name) => name.trim())
  return text(...names.filter((name) => name !== '').map((name) => `<${name}>`))
}
