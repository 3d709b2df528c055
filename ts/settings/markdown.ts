/** Writes the Markdown of the generated pages, with lines of at most 100 columns. */

import { wrapWords } from './wrap.ts'

const PAGE_COLUMNS = 100

/** A word that opens a list, a heading or a quote at the start of a line. */
const BLOCK_MARKER = /^([-+*>]|#+|\d+[.)])$/

/** Returns a paragraph, with an empty line before it. */
export function paragraph(text: string): string {
  return `\n${wrapMarkdown(text, '')}\n`
}

/** Returns an item of a list; `depth` counts the lists that it is nested in. */
export function listItem(text: string, depth = 0): string {
  const indent = '  '.repeat(depth)
  return `${indent}- ${wrapMarkdown(text, `${indent}  `).trimStart()}\n`
}

/** Marks each word as code and joins them with commas. */
export function codeList(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}

/** Replaces the characters of plain text that Markdown would read as HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll('<', '&lt;')
}

/** Calls the function that makes a message, with `<name>` for each of its parameters. */
export function exampleText(text: (...details: string[]) => string): string {
  const parameters = /^\(?([^)=]*)\)?\s*=>/.exec(text.toString())?.[1] ?? ''
  const names = parameters.split(',').map((name) => name.trim())
  const example = text(...names.filter((name) => name !== '').map((name) => `<${name}>`))
  return example.replaceAll('\n', ' ')
}

function wrapMarkdown(text: string, indent: string): string {
  const words: string[] = []
  for (const word of text.split(' ')) {
    // A marker stays on the line of the word before it.
    if (BLOCK_MARKER.test(word) && words.length > 0) words.push(`${words.pop()} ${word}`)
    else words.push(word)
  }
  const lines = wrapWords(words, PAGE_COLUMNS - indent.length)
  return lines.map((line) => indent + line).join('\n')
}
