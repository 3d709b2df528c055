/**
 * Generates the engines' view of the settings from the `engine` column of the settings table.
 * The output is the Rust struct of the native engine and the lists that workers need at run time.
 */
import { joinWithOr } from '../ts/settings/kinds.ts'
import { ROWS } from '../ts/settings/names.ts'
import { firstSentence } from '../ts/settings/print.ts'
import type { EngineColumn, SupportedRow } from '../ts/settings/rows.ts'
import { docComment, grouped, MAX_COLUMNS } from './gen-rust.ts'

interface EngineRow {
  readonly name: string
  readonly row: SupportedRow
  readonly column: EngineColumn
}

const ENGINE_ROWS: readonly EngineRow[] = ROWS.flatMap(([name, row]) =>
  row.status === 'supported' && row.engine !== undefined ? [{ name, row, column: row.engine }] : [],
)

/** Renders `crates/engine/src/pressure/settings.rs` in the format of rustfmt. */
export function rustSettings(): string {
  const entries = ENGINE_ROWS.map((each) => {
    const doc = docComment(firstSentence(each.row.doc), '    ')
    const field = `    ${each.name}: ${rustType(each)} =`
    const value = `${rustDefault(each)};`
    const isWide = field.length + value.length >= MAX_COLUMNS && !value.includes('\n')
    return `${doc}${field}${isWide ? '\n        ' : ' '}${value}\n`
  })
  const choices = ENGINE_ROWS.filter(({ column }) => column.type === 'choice')
  return `//! Settings that the engine reads, with the names and defaults of \`docs/settings.md\`.
//!
//! Written by scripts/gen-engine-settings.ts from ts/settings/table.ts.
//! \`npm run gen\` writes it again.

use std::time::Duration;

use crate::pressure::setting_value::{SettingError, SettingType, SettingValue, choice, settings};

settings! {
${entries.join('')}}
${choices.map(rustChoice).join('')}`
}

/** Renders `ts/engine/settings.ts`. */
export function typescriptSettings(): string {
  const values = ENGINE_ROWS.map(({ name, row, column }) => {
    const value = 'register' in column ? column.register : row.default
    return `  ${name}: ${typescriptValue(value)},\n`
  })
  const ignored = ENGINE_ROWS.filter(({ column }) => column.node === 'ignored').map(
    ({ name }) => `  '${name}',\n`,
  )
  return `/**
 * Settings that the engines read, for code that runs in workers and does not load the table.
 *
 * Written by scripts/gen-engine-settings.ts from ts/settings/table.ts.
 * \`npm run gen\` writes it again.
 */
import type { EngineSettingName, EngineSettings } from '../settings/engine.ts'

/**
 * Values of the engine settings under \`monoceros/register\`, where the limits of Node's own server
 * apply.
 */
export const REGISTER_SETTINGS: EngineSettings = {
${values.join('')}}

/** The names of all settings that the engines read. */
export const ENGINE_SETTINGS = Object.keys(REGISTER_SETTINGS) as readonly EngineSettingName[]

/** Settings that have no effect on \`node:http\`. */
export const IGNORED_BY_NODE = [
${ignored.join('')}] as const satisfies readonly EngineSettingName[]
`
}

function rustType({ name, row, column }: EngineRow): string {
  switch (column.type) {
    case 'duration':
      return 'Duration'
    case 'count':
      return 'u32'
    case 'size':
      return 'usize'
    case 'bytes':
      return 'u64'
    case 'flag':
      return 'bool'
    case 'choice':
      return camelCase(name)
    case 'text':
      return row.default === null ? 'Option<String>' : 'String'
    case 'pairs':
      return 'Vec<(String, String)>'
  }
}

function rustDefault({ name, row, column }: EngineRow): string {
  const { default: value } = row
  switch (column.type) {
    case 'duration':
      return rustDuration(Number(value))
    case 'choice':
      return `${camelCase(name)}::${camelCase(String(value))}`
    case 'text':
      return value === null ? 'None' : rustText(String(value))
    case 'pairs':
      return rustPairs(Object.entries(value as Record<string, string>))
    case 'flag':
      return String(value)
    default:
      return grouped(Number(value))
  }
}

function rustDuration(seconds: number): string {
  if (seconds === 0) return 'Duration::ZERO'
  if (Number.isInteger(seconds)) return `Duration::from_secs(${grouped(seconds)})`
  return `Duration::from_millis(${grouped(Math.round(seconds * 1_000))})`
}

function rustText(text: string): string {
  return text === '' ? 'String::new()' : `${JSON.stringify(text)}.to_owned()`
}

function rustPairs(pairs: readonly (readonly [string, string])[]): string {
  if (pairs.length === 0) return 'Vec::new()'
  const items = pairs.map(([name, value]) => `        (${rustText(name)}, ${rustText(value)}),\n`)
  return `vec![\n${items.join('')}    ]`
}

/** Renders the Rust enum of a setting with a fixed list of values. */
function rustChoice({ name, row }: EngineRow): string {
  const words = row.kind.words ?? []
  const variants = words.map(
    (word) => `        /// \`${word}\`.\n        ${camelCase(word)} = "${word}",\n`,
  )
  return `
choice! {
    /// The values of \`${name}\`.
    ${camelCase(name)}: ${JSON.stringify(joinWithOr(words))} {
${variants.join('')}    }
}
`
}

function camelCase(words: string): string {
  return words.replace(/(?:^|[-_])(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function typescriptValue(value: unknown): string {
  if (typeof value === 'number') return value < 10_000 ? String(value) : grouped(value)
  if (typeof value === 'string') return `'${value.replaceAll("'", "\\'")}'`
  if (value !== null && typeof value === 'object' && Object.keys(value).length === 0) return '{}'
  return JSON.stringify(value)
}
