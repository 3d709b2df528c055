/** Breaks text into lines, for --help and the generated pages. */

/** Fills lines of at most `columns` characters with words; a longer word gets a line of its own. */
export function wrapWords(words: readonly string[], columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
