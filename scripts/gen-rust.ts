/** Renders the parts of Rust sources that several generators write. */

/** Width of a generated line. */
export const MAX_COLUMNS = 100

/** Names in snake case, which clippy requires to be marked as code. */
const SNAKE_CASE = /\b[a-zA-Z]\w*_\w+\b/g

/** Renders a Rust doc comment, wrapped at 100 columns. */
export function docComment(text: string, indent: string): string {
  const lines: string[] = []
  let line = `${indent}///`
  for (const word of text.replace(SNAKE_CASE, '`$&`').split(' ')) {
    if (line.length + 1 + word.length > MAX_COLUMNS) {
      lines.push(line)
      line = `${indent}///`
    }
    line += ` ${word}`
  }
  return `${[...lines, line].join('\n')}\n`
}

/** Formats a number with separators, as clippy requires. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '_')
}
