/**
 * The config file that `monoceros migrate` writes, as a list of parts: settings, and comments on
 * what has no equivalent. `renderConfigFile` writes it as TypeScript.
 */
import { MonocerosError } from '../errors.ts'
import { checkGiven } from '../settings/check.ts'
import type { RowName } from '../settings/names.ts'
import { wrapWords } from '../settings/wrap.ts'

const COLUMNS = 100
const PLAIN_KEY = /^[A-Za-z_$][\w$]*$/
/** The characters that end a line, and with it a comment (ECMA-262 section 12.3). */
const LINE_ENDS = /\r\n|[\n\r\u2028\u2029]/

/** An expression of TypeScript instead of a value. */
export class Code {
  readonly text: string
  /** A value that the expression can have, to check it. */
  readonly example: unknown
  /** The import that the expression needs. */
  readonly needs: string | undefined

  constructor(text: string, example: unknown, needs?: string) {
    this.text = text
    this.example = example
    this.needs = needs
  }
}

/** A setting of the new file, or a comment between the settings. */
export type Part =
  | { readonly setting: RowName; readonly value: unknown; readonly comment?: string | undefined }
  | { readonly comment: string }

export interface Draft {
  /** The origin of the file, for its first line. */
  readonly title: string
  readonly parts: readonly Part[]
}

/**
 * Makes the part for a setting. A value that the server would reject becomes a comment with the
 * reason, so that every file that is written loads.
 */
export function settingPart(
  setting: RowName,
  value: unknown,
  { origin, comment }: { readonly origin: string; readonly comment?: string | undefined },
): Part | undefined {
  try {
    const checked = checkGiven({ name: setting, value: exampleOf(value), subject: origin }, 'file')
    if (checked.isUsed) return { setting, value, comment }
    return checked.warning === undefined ? undefined : { comment: checked.warning }
  } catch (error) {
    if (!(error instanceof MonocerosError)) throw error
    return { comment: `${shownSource(origin, value)} ${error.message}` }
  }
}

/** Returns a setting of another program as a comment shows it. */
export function shownSource(name: string, value: unknown): string {
  return `${name}: ${renderValue(value)}.`
}

/** Returns a value with examples in place of expressions. */
export function exampleOf(value: unknown): unknown {
  if (value instanceof Code) return value.example
  if (Array.isArray(value)) return value.map(exampleOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, exampleOf(item)]))
}

/** Writes a draft as a TypeScript module that imports nothing of Monoceros when it runs. */
export function renderConfigFile({ title, parts }: Draft): string {
  const imports = parts.flatMap((part) => ('setting' in part ? importsOf(part.value) : []))
  return [
    ...commentLines(title, ''),
    ...[...new Set(imports)].sort(),
    "import type { ConfigFile } from 'monoceros'",
    '',
    'export default {',
    ...mergeSettings(parts).flatMap(renderPart),
    '} satisfies ConfigFile',
    '',
  ].join('\n')
}

// Two names of the other program can mean one setting. Texts in a list are joined, else the last
// value is used, as in a JavaScript object.
function mergeSettings(parts: readonly Part[]): Part[] {
  return parts.flatMap((part, index): Part[] => {
    if (!('setting' in part)) return [part]
    const same = parts.filter((other) => 'setting' in other && other.setting === part.setting)
    if (parts.indexOf(same[0] ?? part) !== index) return []
    const values = same.map((other) => ('setting' in other ? other.value : undefined))
    const comment = same.flatMap(({ comment: one }) => one ?? []).join(' ')
    const value = values.every(Array.isArray) ? values.flat() : values.at(-1)
    return [{ setting: part.setting, value, comment: comment === '' ? undefined : comment }]
  })
}

function renderPart(part: Part): string[] {
  const comment = part.comment === undefined ? [] : commentLines(part.comment, '  ')
  if (!('setting' in part)) return comment
  const line = `  ${part.setting}: ${renderValue(part.value)},`
  if (line.length <= COLUMNS || !Array.isArray(part.value)) return [...comment, line]
  const items = part.value.map((item) => `    ${renderValue(item)},`)
  return [...comment, `  ${part.setting}: [`, ...items, '  ],']
}

function commentLines(text: string, indent: string): string[] {
  return text
    .split(LINE_ENDS)
    .flatMap((line) => wrapLine(line, COLUMNS - indent.length - 3))
    .map((line) => `${indent}// ${line}`.trimEnd())
}

// The indentation of a line that is not too long is kept.
function wrapLine(line: string, columns: number): string[] {
  return line.length <= columns ? [line] : wrapWords(line.trim().split(/ +/), columns)
}

function renderValue(value: unknown): string {
  if (value instanceof Code) return value.text
  if (typeof value === 'string') return quote(value)
  if (Array.isArray(value)) return `[${value.map(renderValue).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      ([key, item]) => `${PLAIN_KEY.test(key) ? key : quote(key)}: ${renderValue(item)}`,
    )
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
  }
  return typeof value === 'function' ? 'a function' : String(value)
}

/** Writes a text as a literal in single quotes. */
function quote(text: string): string {
  const inner = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
  return `'${inner.replace(/[\u2028\u2029]/g, escapeUnicode)}'`
}

function escapeUnicode(letter: string): string {
  return `\\u${letter.charCodeAt(0).toString(16)}`
}

function importsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(importsOf)
  return value instanceof Code && value.needs !== undefined ? [value.needs] : []
}
