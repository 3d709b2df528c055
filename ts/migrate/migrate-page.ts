/** Renders the lists of docs/migrate.md. */

import { wrapWords } from '../settings/wrap.ts'
import { GUNICORN_ROWS } from './gunicorn-table.ts'
import { PM2_ROWS } from './pm2-table.ts'

const COLUMNS = 100

/** Returns the page with the lists below its two headings written again. */
export function renderMigratePage(page: string): string {
  return page
    .replace(/(?<=^## Options of pm2\n\n[^-]*\n\n)(?:[- ].*\n)*/m, () => renderPm2List())
    .replace(/(?<=^## Settings of Gunicorn\n\n[^-]*\n\n)(?:[- ].*\n)*/m, () => renderGunicornList())
}

function renderPm2List(): string {
  return PM2_ROWS.map(({ names, to, doc }) => renderItem(names, to, doc)).join('')
}

function renderGunicornList(): string {
  return GUNICORN_ROWS.map(({ name, convert, doc }) =>
    renderItem([name], convert === undefined ? [] : [name], doc),
  ).join('')
}

function renderItem(names: readonly string[], to: readonly string[], doc: string): string {
  const target = to.length === 0 ? 'no setting' : joinCodes(to)
  const words = `- ${joinCodes(names)}: ${target}. ${doc}`.split(' ')
  return `${wrapWords(words, COLUMNS - 2).join('\n  ')}\n`
}

function joinCodes(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ')
}
