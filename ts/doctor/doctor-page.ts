/** Renders the list of checks of docs/doctor.md. */

import { wrapWords } from '../settings/wrap.ts'
import { CHECKS } from './checks.ts'

const COLUMNS = 100

/** Returns the list, one item for each check. */
export function renderChecks(): string {
  return CHECKS.map(({ title, why }) => {
    const lines = wrapWords(`- **${title}**: ${why}`.split(' '), COLUMNS - 2)
    return `${lines.join('\n  ')}\n`
  }).join('')
}
