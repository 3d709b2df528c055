/** Text for a terminal: columns, durations, sizes, colours. */

/** Width of the output where there is no terminal. */
export const DEFAULT_COLUMNS = 80

const ESCAPE = '\u001b'
const CODES = { bold: 1, red: 31, green: 32, yellow: 33 } as const

/** How text is shown. */
export interface Style {
  readonly columns: number
  readonly hasColor: boolean
}

/** Colours a text, where the output is a terminal. */
export function colorize(text: string, color: keyof typeof CODES, { hasColor }: Style): string {
  return hasColor ? `${ESCAPE}[${CODES[color]}m${text}${ESCAPE}[0m` : text
}

/** Returns rows as lines; numbers are aligned to the right. The first row is the heading. */
export function formatTable(rows: readonly (readonly string[])[], style: Style): string {
  const count = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  const isNumeric = widths.map((_, column) =>
    rows.slice(1).every((row) => /^(?:[\d.,:%-]+ ?[\w%]*)?$/.test(row[column] ?? '')),
  )
  return rows
    .map((row, index) => {
      const cells = row.map((cell, column) => {
        const width = widths[column] ?? 0
        return isNumeric[column] ? cell.padStart(width) : cell.padEnd(width)
      })
      const line = cutLine(cells.join('  ').trimEnd(), style.columns)
      return `${index === 0 ? colorize(line, 'bold', style) : line}\n`
    })
    .join('')
}

/** Returns names with their values, one a line. */
export function formatPairs(
  pairs: readonly (readonly [name: string, value: string])[],
  style: Style,
): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs
    .map(([name, value]) => {
      const line = cutLine(`${name.padEnd(width)}  ${value}`, style.columns)
      return `${colorize(line.slice(0, width), 'bold', style)}${line.slice(width)}\n`
    })
    .join('')
}

/** Returns names with a text each; the text of a long name is on the next line. */
export function formatEntries(
  entries: readonly (readonly [name: string, text: string])[],
  nameColumns: number,
): string {
  return entries
    .map(([name, text]) => {
      const isShort = name.length < nameColumns - 1
      const head = isShort ? name.padEnd(nameColumns) : `${name}\n${' '.repeat(nameColumns)}`
      return `${head}${text}\n`
    })
    .join('')
}

/** Shortens a line to a number of columns. */
export function cutLine(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`
}

/** Formats seconds: `4.2 s`, `3m 10s`, `5h 2m`, `12d 3h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 0.001) return `${Math.round(seconds * 1_000_000)} us`
  if (seconds < 1) return `${trimNumber(seconds * 1_000)} ms`
  if (seconds < 60) return `${trimNumber(seconds)} s`
  const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) => Math.floor(seconds / unit))
  const rest = Math.floor(seconds % 60)
  if ((minutes ?? 0) < 60) return `${minutes}m ${rest}s`
  if ((hours ?? 0) < 24) return `${hours}h ${(minutes ?? 0) % 60}m`
  return `${days}d ${(hours ?? 0) % 24}h`
}

/** Formats bytes in powers of 1024: `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  return `${trimNumber(bytes / 1024 ** power)} ${units[power]}`
}

/** Replaces control characters, which a terminal would obey. */
export function escapeControls(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to replace.
  return line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
}

function trimNumber(value: number): string {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1)
}
