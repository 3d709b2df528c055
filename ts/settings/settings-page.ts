/**
 * Writes docs/settings.md and docs/settings.schema.json from the settings table.
 */
import { z } from 'zod/mini'

import { OTHER_VARIABLES } from './environment.ts'
import type { ValueKind } from './kinds.ts'
import { codeList, escapeHtml, listItem, paragraph } from './markdown.ts'
import { flagOf, ROWS, type RowName, variableOf } from './names.ts'
import { defaultText } from './print.ts'
import {
  type InapplicableRow,
  type Row,
  SECTIONS,
  type Section,
  type SupportedRow,
} from './rows.ts'

type Named<R extends Row> = readonly [RowName, R]

const head = () => `# Settings

A setting can come from five sources. A later source wins:

1. the default,
2. the config file,
3. the environment, as \`MONOCEROS_<NAME>\`,
4. \`MONOCEROS_CMD_ARGS\`, a variable with flags, split as a shell does,
5. the command line.

Run \`monoceros app.js ${flagOf('print_config')}\` to see the value and origin of every setting. Run
it with \`${flagOf('check_config')}\` to check the settings and load the application. An unknown
name or an invalid value ends the start with exit status 1, an unknown flag with 2.

## The config file

The config file is \`monoceros.config.js\`, \`.mjs\`, \`.cjs\`, \`.ts\` or \`.json\` in the start
directory, which is the directory where you run \`monoceros\`. Use \`${flagOf('config')}\` to name
another file. A module exports an object of settings, or each setting by its name:

\`\`\`ts
import { defineConfig } from 'monoceros'

export default defineConfig({
  app: './app.js',
  bind: ['0.0.0.0:8000', 'unix:/run/app.sock'],
  workers: 'auto',
})
\`\`\`

A JSON file may name its schema:

\`\`\`json
{ "$schema": "./node_modules/monoceros/docs/settings.schema.json", "workers": "auto" }
\`\`\`

A TypeScript file is loaded by the first of these that can:

- a loader that you register, as in \`NODE_OPTIONS="--import tsx"\`,
- Node itself, if it strips types and the file needs nothing more,
- jiti, which compiles the file.

## The environment

Switches are \`true\` or \`false\` (also \`1\`, \`0\`, \`yes\`, \`no\`, \`on\`, \`off\`). An empty
variable counts as not set. Unknown names that begin with \`MONOCEROS_\` are rejected, except those
that Kubernetes sets for a service called "monoceros".

These variables are not settings:

`

const PLANNED_INTRO =
  'Gunicorn has these settings, and Monoceros does not support them yet. ' +
  'If you set one, an error names it:'
const INAPPLICABLE_INTRO = 'Gunicorn has these settings, and they have no meaning here:'

const WHEN_SET: Readonly<Record<InapplicableRow['whenSet'], string>> = {
  ignore: 'ignored',
  warn: 'ignored with a warning',
  reject: 'rejected',
}

/** Returns the text of docs/settings.md. */
export function settingsPage(): string {
  const variables = Object.entries(OTHER_VARIABLES).map(([name, text]) =>
    listItem(`\`${name}\`: ${text}`),
  )
  return [head(), ...variables, ...SECTIONS.map(sectionPage)].join('')
}

/** Returns the JSON schema of a config file. */
export function settingsSchema(): object {
  const properties: Record<string, unknown> = { $schema: { type: 'string' } }
  for (const [name, row] of ROWS) {
    if (row.status !== 'supported' || row.sources !== undefined) continue
    const { $schema: _, ...schema } = schemaOf(row.kind)
    const defaultValue = row.default === '' ? {} : { default: row.default }
    for (const known of [name, ...(row.aliases ?? [])]) {
      properties[known] = { description: row.doc, ...schema, ...defaultValue }
    }
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $comment: 'Written by scripts/gen.ts from ts/settings/table.ts; npm run gen writes it again.',
    title: 'Settings of Monoceros',
    type: 'object',
    properties,
    additionalProperties: false,
  }
}

function schemaOf({ json, schema }: ValueKind): { $schema?: unknown } {
  return json ?? z.toJSONSchema(schema, { io: 'input' })
}

function sectionPage(section: Section): string {
  const rows = ROWS.filter(([, row]) => row.section === section)
  const supported = rows.filter(isSupported)
  const planned = rows.filter(([, row]) => row.status === 'planned')
  const inapplicable = rows.filter(isInapplicable)
  return [
    `\n## ${section}\n`,
    ...supported.map(supportedEntry),
    planned.length === 0 ? '' : `${paragraph(PLANNED_INTRO)}\n`,
    ...planned.map(([name, row]) => listItem(`\`${name}\`${flagsAfter(row)}: ${row.doc}`)),
    inapplicable.length === 0 ? '' : `${paragraph(INAPPLICABLE_INTRO)}\n`,
    ...inapplicable.map(inapplicableEntry),
  ].join('')
}

function isSupported(named: Named<Row>): named is Named<SupportedRow> {
  return named[1].status === 'supported'
}

function isInapplicable(named: Named<Row>): named is Named<InapplicableRow> {
  return named[1].status === 'inapplicable'
}

function supportedEntry([name, row]: Named<SupportedRow>): string {
  const hasVariable = row.sources?.includes('environment') !== false
  const facts = [
    row.flags === undefined ? undefined : `Flags: ${codeList(row.flags)}.`,
    row.aliases === undefined ? undefined : `Aliases: ${codeList(row.aliases)}.`,
    hasVariable ? `Environment: \`${variableOf(name)}\`.` : undefined,
    `Value: ${row.kind.placeholder === '' ? 'true or false' : escapeHtml(valueText(row))}.`,
    `Default: ${defaultOf(row)}.`,
    `Read by: ${row.readBy}.`,
  ].filter((fact) => fact !== undefined)
  const list = facts.map((fact) => listItem(fact)).join('')
  return `\n### ${name}\n${paragraph(escapeHtml(row.doc))}\n${list}`
}

function inapplicableEntry([name, row]: Named<InapplicableRow>): string {
  return listItem(`\`${name}\`${flagsAfter(row)}: ${WHEN_SET[row.whenSet]}, because ${row.reason}.`)
}

function valueText(row: Row): string {
  return row.kind.list === undefined ? row.kind.allowed : `a list of ${row.kind.allowed}`
}

function defaultOf(row: SupportedRow): string {
  const text = defaultText(row)
  if (text === undefined) return row.default === false ? 'false' : 'not set'
  const variable = row.defaultFrom?.variable
  return variable === undefined ? `\`${text}\`` : `\`${text}\`, or the value of \`${variable}\``
}

function flagsAfter(row: Row): string {
  return row.flags === undefined ? '' : ` (${codeList(row.flags)})`
}
