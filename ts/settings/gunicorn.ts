/** docs/gunicorn.md: what Monoceros does about each setting, signal and hook of Gunicorn, from the tables themselves. */

import { HOOK_NAMES, HOOKS, type HookName } from '../hooks/table.ts'
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

/** The test that shows what a row says, as `file › title`; undefined where there is none. */
export interface Proofs {
  readonly setting: (name: RowName, row: Row) => string | undefined
  readonly signal: (name: SignalName) => string
  readonly hook: (name: HookName) => string
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
  const later = ROWS.filter(([, row]) => row.section === 'Hooks' && row.status === 'later').map(
    ([name, row]) =>
      `| \`${name}\` | | Not built yet; an error names it. ${cell(row.doc)} | | ${test(proofs.setting(name, row))} |\n`,
  )
  return [
    HEAD,
    ...sections,
    '\n## Signals\n\n| signal | arbiter | worker | test |\n| --- | --- | --- | --- |\n',
    ...signals,
    '\n## Hooks\n\n| hook | process | when | an exception | test |\n| --- | --- | --- | --- | --- |\n',
    ...hooks,
    ...later,
  ].join('')
}

function verdict(row: Row): string {
  if (row.status === 'built') return 'works'
  return row.status === 'later' ? 'not yet' : 'no meaning'
}

function what(row: Row): string {
  if (row.status === 'built') return row.doc
  if (row.status === 'later') return `${row.doc} Not built yet; an error names it.`
  const acts = { ignore: 'Taken and passed over', warn: 'Taken with a warning', refuse: 'Refused' }
  return `${acts[row.act]}: ${row.reason}.`
}

function test(proof: string | undefined): string {
  if (proof === undefined) return 'none yet'
  const [file = '', title] = proof.split(' › ')
  return title === undefined ? `\`${file}\`` : `\`${file}\`: ${cell(title)}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
