/**
 * Pages made from the table: docs/settings.md and docs/settings.schema.json.
 */
import { z } from 'zod/mini'

import { OTHER_VARIABLES } from './environment.ts'
import type { ValueKind } from './kinds.ts'
import { flagOf, ROWS, type RowName, variableOf } from './names.ts'
import { defaultText } from './print.ts'
import {
  type InapplicableRow,
  type PlannedRow,
  type Row,
  SECTIONS,
  type Section,
  type SupportedRow,
} from './rows.ts'

type Named<R extends Row> = readonly [RowName, R]

const head = () => `# Settings

A setting can be given in five places; a later one wins:

1. its default,
2. the config file,
3. the environment, as \`MONOCEROS_<NAME>\`,
4. \`MONOCEROS_CMD_ARGS\`, a variable with flags, split as a shell does,
5. the command line.

\`monoceros app.js ${flagOf('print_config')}\` prints the value of every setting and where it comes from; \`${flagOf('check_config')}\` checks them and
loads the application. An unknown name or a bad value ends the start with exit status 1, an unknown flag with 2.

## The config file

\`monoceros.config.js\`, \`.mjs\`, \`.cjs\`, \`.ts\` or \`.json\` in the directory of the start, or the one that \`${flagOf('config')}\` names.
A module exports an object of settings, or each setting by its name:

\`\`\`ts
import { defineConfig } from 'monoceros'

export default defineConfig({
  app: './app.js',
  bind: ['0.0.0.0:8000', 'unix:/run/app.sock'],
  workers: 'auto',
})
\`\`\`

A JSON file may name its schema: \`"$schema": "./node_modules/monoceros/docs/settings.schema.json"\`.
TypeScript is run by a loader where one is registered (\`NODE_OPTIONS="--import tsx"\`), by Node where it strips types and the
file needs no more than that, else compiled by jiti.

## The environment

Switches are \`true\` or \`false\` (also \`1\`, \`0\`, \`yes\`, \`no\`, \`on\`, \`off\`). An empty variable counts as not set.
Unknown names that begin with \`MONOCEROS_\` are refused, but for those that Kubernetes sets for a service called "monoceros".
`

const LATER_INTRO =
  'Known from Gunicorn and not supported yet; whoever gives one gets an error that names it:'
const NONE_INTRO = 'Known from Gunicorn and without meaning here:'

const ACTS: Readonly<Record<InapplicableRow['whenSet'], string>> = {
  ignore: 'taken and passed over',
  warn: 'taken with a warning',
  reject: 'refused',
}

/** The text of docs/settings.md. */
export function settingsPage(): string {
  const variables = Object.entries(OTHER_VARIABLES).map(
    ([name, text]) => `| \`${name}\` | ${text} |`,
  )
  const others = `\n| variable | |\n| --- | --- |\n${variables.join('\n')}\n`
  return head() + others + SECTIONS.map(sectionPage).join('')
}

/** The JSON schema of a config file. */
export function settingsSchema(): object {
  const properties: Record<string, unknown> = { $schema: { type: 'string' } }
  for (const [name, row] of ROWS) {
    if (row.status !== 'supported' || row.sources !== undefined) continue
    const { $schema: _, ...schema } = jsonOf(row.kind)
    const usual = row.default === '' ? {} : { default: row.default }
    for (const known of [name, ...(row.aliases ?? [])]) {
      properties[known] = { description: row.doc, ...schema, ...usual }
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

function jsonOf({ json, schema }: ValueKind): { $schema?: unknown } {
  return json ?? z.toJSONSchema(schema, { io: 'input' })
}

function sectionPage(section: Section): string {
  const rows = ROWS.filter(([, row]) => row.section === section)
  const built = rows.filter(
    (named): named is Named<SupportedRow> => named[1].status === 'supported',
  )
  const later = rows.filter((named): named is Named<PlannedRow> => named[1].status === 'planned')
  const none = rows.filter(
    (named): named is Named<InapplicableRow> => named[1].status === 'inapplicable',
  )
  return [
    `\n## ${section}\n`,
    ...built.map(builtPage),
    later.length === 0 ? '' : `\n${LATER_INTRO}\n\n${later.map(laterLine).join('')}`,
    none.length === 0 ? '' : `\n${NONE_INTRO}\n\n${none.map(noneLine).join('')}`,
  ].join('')
}

function builtPage([name, row]: Named<SupportedRow>): string {
  const facts = [
    row.flags === undefined ? undefined : `Flags: ${flagsOf(row)}.`,
    row.aliases === undefined ? undefined : `Also called: ${quoteAll(row.aliases)}.`,
    row.sources?.includes('environment') === false
      ? undefined
      : `Environment: \`${variableOf(name)}\`.`,
    `Value: ${row.kind.placeholder === '' ? 'true or false' : escapeBars(valueWords(row))}.`,
    `Default: ${defaultWords(row)}.`,
    `Read by: ${row.readBy}.`,
  ].filter((fact) => fact !== undefined)
  return `\n### ${name}\n\n${row.doc}\n\n${facts.map((fact) => `- ${fact}\n`).join('')}`
}

function laterLine([name, row]: Named<PlannedRow>): string {
  return `- \`${name}\`${flagsAfter(row)}: ${row.doc}\n`
}

function noneLine([name, row]: Named<InapplicableRow>): string {
  return `- \`${name}\`${flagsAfter(row)}: ${ACTS[row.whenSet]}, because ${row.reason}.\n`
}

function valueWords(row: Row): string {
  return row.kind.list === undefined ? row.kind.allowed : `a list of ${row.kind.allowed}`
}

function defaultWords(row: SupportedRow): string {
  const usual = defaultText(row)
  const moved =
    row.defaultFrom === undefined ? '' : `, or what \`${row.defaultFrom.variable}\` says`
  if (usual === undefined) return row.default === false ? 'false' : 'not set'
  return `\`${usual}\`${moved}`
}

function flagsOf(row: Row): string {
  return quoteAll(row.flags ?? [])
}

function flagsAfter(row: Row): string {
  return row.flags === undefined ? '' : ` (${flagsOf(row)})`
}

function quoteAll(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}

function escapeBars(text: string): string {
  return text.replaceAll('|', '\\|')
}
