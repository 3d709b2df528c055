// The pages of docs/ by their headings, with the commands below each.

import { readFileSync } from 'node:fs'

export interface Section {
  readonly title: string
  readonly commands: readonly string[]
}

/**
 * The commands below each heading: lines that are indented, without their comments.
 */
export function sectionsOf(page: string): Section[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => ({
      title: section.split('\n', 1)[0] ?? '',
      commands: [...section.matchAll(/^ {4,}(\S.*?)(?: {2,}#.*)?$/gm)].map(
        (match) => match[1] ?? '',
      ),
    }))
}
