/**
 * Writes every generated file (`npm run gen`). With `--check`, compares the files instead and exits
 * with status 1 if one differs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HOOK_PROOFS } from '../__test__/hook-proofs.ts'
import { LINE_PROOFS } from '../__test__/log-line-proofs.ts'
import { LATER_PROOF, NONE_PROOF, SETTING_PROOFS } from '../__test__/proofs.ts'
import { SIGNAL_PROOFS } from '../__test__/signal-proofs.ts'
import { renderCommandRows } from '../ts/control/commands.ts'
import { renderChecks } from '../ts/doctor/doctor-page.ts'
import { ERRORS, type ErrorRow } from '../ts/errors.ts'
import { renderHooksPage } from '../ts/hooks/docs.ts'
import { renderMetricsPage } from '../ts/metrics/docs.ts'
import { renderMigratePage } from '../ts/migrate/migrate-page.ts'
import { gunicornPage, type Proofs } from '../ts/settings/gunicorn-page.ts'
import { exampleText, listItem, paragraph } from '../ts/settings/markdown.ts'
import { settingsPage, settingsSchema } from '../ts/settings/settings-page.ts'
import { isMain } from './command.ts'
import { rustSettings, typescriptSettings } from './gen-engine-settings.ts'
import { rustMetricsLayout } from './gen-metrics.ts'
import { rustWire } from './gen-wire.ts'

/** Every generated file, with the function that renders its text. */
export const GENERATED: readonly { readonly path: string; readonly text: () => string }[] = [
  { path: 'docs/settings.md', text: () => signed('ts/settings/table.ts', settingsPage()) },
  {
    path: 'docs/settings.schema.json',
    text: () => `${JSON.stringify(settingsSchema(), null, 2)}\n`,
  },
  { path: 'docs/hooks.md', text: () => signed('ts/hooks/table.ts', renderHooksPage()) },
  { path: 'docs/metrics.md', text: () => signed('ts/metrics/table.ts', renderMetricsPage()) },
  { path: 'docs/gunicorn.md', text: () => signed('ts/settings/table.ts', gunicornPage(PROOFS)) },
  { path: 'docs/errors.md', text: () => signed('ts/errors.ts', errorsPage()) },
  // Only these lists are generated; the text around them is written by hand.
  {
    path: 'docs/control.md',
    text: () =>
      replaceList(
        'docs/control.md',
        /(?<=\| command \| what it does \|\n\| --- \| --- \|\n)(?:\|.*\n)*/,
        renderCommandRows(),
      ),
  },
  {
    path: 'docs/doctor.md',
    text: () => replaceList('docs/doctor.md', /(?<=^## Checks\n\n)[\s\S]*/m, renderChecks()),
  },
  {
    path: 'docs/migrate.md',
    text: () => renderMigratePage(contentOf(new URL('../docs/migrate.md', import.meta.url)) ?? ''),
  },
  { path: 'crates/engine/src/pressure/settings.rs', text: rustSettings },
  { path: 'ts/engine/settings.ts', text: typescriptSettings },
  { path: 'crates/engine/src/bridge/wire.rs', text: rustWire },
  { path: 'crates/engine/src/scoreboard/layout.rs', text: rustMetricsLayout },
]

const PROOFS: Proofs = {
  setting: (name, row) =>
    ({
      supported: SETTING_PROOFS[name],
      planned: LATER_PROOF,
      inapplicable: NONE_PROOF,
    })[row.status],
  signal: (name) => SIGNAL_PROOFS[name],
  hook: (name) => HOOK_PROOFS[name],
  line: (name) => LINE_PROOFS[name],
}

if (isMain(import.meta.url)) run(process.argv.includes('--check'))

function run(check: boolean): void {
  for (const { path, text } of GENERATED) {
    const file = new URL(`../${path}`, import.meta.url)
    if (contentOf(file) === text()) continue
    if (check) {
      process.stderr.write(`${path} differs from what \`npm run gen\` writes.\n`)
      process.exitCode = 1
      continue
    }
    mkdirSync(dirname(fileURLToPath(file)), { recursive: true })
    writeFileSync(file, text())
    process.stdout.write(`wrote ${path}\n`)
  }
}

function contentOf(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // The file does not exist yet.
    return undefined
  }
}

function replaceList(path: string, pattern: RegExp, list: string): string {
  const page = contentOf(new URL(`../${path}`, import.meta.url)) ?? ''
  return page.replace(pattern, () => list)
}

function signed(source: string, page: string): string {
  const note = `Written by scripts/gen.ts from ${source}; npm run gen writes it again.`
  return `<!-- ${note} -->\n\n${page}`
}

function errorsPage(): string {
  const entries = Object.entries<ErrorRow>(ERRORS).map(([code, row]) => [
    `\n## ${code}\n`,
    paragraph(`\`${exampleText(row.text)}\``),
    row.advice === undefined ? '' : paragraph(row.advice),
    `\n${listItem(`Exit status: ${row.exitStatus}.`)}`,
    listItem(`More: [${row.page}](${row.page}).`),
  ])
  return `# Errors

An error ends the process that it occurs in with its exit status, unless the page of a feature
describes something else: after a failed reload, for example, the old workers keep serving. Programs
find the code in \`error.code\`. Angle brackets mark the parts of a message that vary.
${entries.flat().join('')}`
}
