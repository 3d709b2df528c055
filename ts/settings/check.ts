/**
 * One given value against its row: converted, checked, or refused with a message that says what to do.
 */
import { inspect, isDeepStrictEqual } from 'node:util'

import { monocerosError } from '../errors.ts'
import type { ValueKind } from './kinds.ts'
import { joinWithOr } from './kinds.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import { rowOf } from './names.ts'
import { didYouMean } from './nearest.ts'
import type { InapplicableRow, PlannedRow, Row } from './rows.ts'

const LONGEST_VALUE = 200

const PLACES = { flag: 'on the command line', environment: 'in the environment' }

export type Checked =
  | { readonly use: true; readonly value: unknown; readonly warning?: string }
  | { readonly use: false; readonly warning?: string }

/** Checks one value of a layer; what is not built yet or has no meaning is not to be used. */
export function checkGiven(given: SettingEntry, source: SettingsLayer['source']): Checked {
  const row = rowOf(given.name)
  if (row.status === 'planned') return checkPlanned(given, row)
  if (row.status === 'inapplicable') return checkInapplicable(given, row)
  if (row.sources !== undefined && !isOneOf(source, row.sources)) {
    const places = row.sources.map((known) => PLACES[known])
    const reason = `it can only be given ${places.join(' or ')}`
    throw monocerosError('ERR_SETTING_REFUSED', given.subject, reason)
  }
  return { use: true, ...checkValue(given, row) }
}

function checkPlanned(given: SettingEntry, row: PlannedRow): Checked {
  const parsed = row.kind.schema.safeParse(fromText(row.kind, given.value))
  // What asks for the default asks for nothing.
  if (parsed.success && isDefault(parsed.data, row)) return { use: false }
  throw monocerosError('ERR_SETTING_LATER', given.subject)
}

function checkInapplicable(given: SettingEntry, row: InapplicableRow): Checked {
  const { value } = checkValue(given, row)
  if (row.whenSet === 'ignore' || isDefault(value, row)) return { use: false }
  if (row.whenSet === 'reject')
    throw monocerosError('ERR_SETTING_REFUSED', given.subject, row.reason)
  return { use: false, warning: `${given.subject} has no effect: ${row.reason}.` }
}

function isDefault(value: unknown, row: Row): boolean {
  return value === null || isDeepStrictEqual(value, row.default)
}

function checkValue(given: SettingEntry, row: Row): { value: unknown; warning?: string } {
  const { kind } = row
  const { value, warning } = translate(given, kind)
  if (typeof value === 'string' && isOneOf(value.toLowerCase(), kind.plannedWords ?? [])) {
    throw monocerosError('ERR_VALUE_LATER', given.subject, value, joinWithOr(kind.words ?? []))
  }
  const candidate = fromText(kind, value)
  const parsed = kind.schema.safeParse(candidate)
  if (!parsed.success) throw badValue(given, kind, candidate)
  return { value: parsed.data, warning }
}

// Only a text as a whole is converted: the items of a list are texts by nature.
function fromText(kind: ValueKind, value: unknown): unknown {
  return typeof value === 'string' ? kind.fromText(value) : value
}

function translate(given: SettingEntry, kind: ValueKind): { value: unknown; warning?: string } {
  const { value, subject } = given
  const meaning = typeof value === 'string' ? kind.translate?.(value) : undefined
  if (meaning === undefined) return { value }
  const warning = `${subject}: "${value}" is a word of Gunicorn; here it means "${meaning}".`
  return { value: meaning, warning }
}

function badValue(given: SettingEntry, kind: ValueKind, candidate: unknown): Error {
  const { subject, made } = given
  if (made !== undefined) {
    return monocerosError('ERR_SETTING_VALUE', subject, made.allowed, shown(made.from), '.')
  }
  const whole = typeof candidate === 'string' ? kind.problem?.(candidate) : undefined
  const invalid = kind.list?.findInvalidItem(candidate) ?? { value: candidate, problem: whole }
  if (invalid.problem !== undefined) {
    return monocerosError('ERR_SETTING_ITEM', subject, shown(invalid.value), invalid.problem)
  }
  const word = typeof invalid.value === 'string' ? invalid.value : ''
  const ending = didYouMean(word, kind.words ?? [])
  return monocerosError('ERR_SETTING_VALUE', subject, kind.allowed, shown(invalid.value), ending)
}

function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  const text = jsonOf(value) ?? inspect(value, { breakLength: Number.POSITIVE_INFINITY })
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text
}

// JSON makes null of NaN and Infinity, and throws at a bigint and at what a getter throws.
function jsonOf(value: unknown): string | undefined {
  if (typeof value === 'number') return undefined
  try {
    return JSON.stringify(value)
  } catch {
    // What is no JSON is shown as it is.
    return undefined
  }
}

function isOneOf(word: string, words: readonly string[]): boolean {
  return words.includes(word)
}
