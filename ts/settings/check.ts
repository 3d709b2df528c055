/**
 * Checks one value of a source against its row of the settings table, and converts it.
 */
import { inspect, isDeepStrictEqual } from 'node:util'

import { monocerosError } from '../errors.ts'
import type { ValueKind } from './kinds.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import { rowOf } from './names.ts'
import { didYouMean } from './nearest.ts'
import type { InapplicableRow, PlannedRow, Row } from './rows.ts'

/** Longer values are cut in messages, in characters. */
const MAX_SHOWN_LENGTH = 200

const PLACES = { flag: 'on the command line', environment: 'in the environment' }

/** A checked value. `isUsed` is false for a setting that is ignored. */
export type CheckedValue =
  | { readonly isUsed: true; readonly value: unknown; readonly warning?: string }
  | { readonly isUsed: false; readonly warning?: string }

/**
 * Checks one value of a source. A setting that is planned or has no meaning is not used: it is
 * ignored, causes a warning or is rejected.
 */
export function checkGiven(given: SettingEntry, source: SettingsLayer['source']): CheckedValue {
  const row = rowOf(given.name)
  if (row.status === 'planned') return checkPlanned(given, row)
  if (row.status === 'inapplicable') return checkInapplicable(given, row)
  if (row.sources !== undefined && !isOneOf(source, row.sources)) {
    const places = row.sources.map((known) => PLACES[known])
    const reason = `it can only be given ${places.join(' or ')}`
    throw monocerosError('ERR_SETTING_REFUSED', given.subject, reason)
  }
  return { isUsed: true, ...checkValue(given, row) }
}

function checkPlanned(given: SettingEntry, row: PlannedRow): CheckedValue {
  const parsed = row.kind.schema.safeParse(fromText(row.kind, given.value))
  // To ask for the default is to ask for nothing, so it is no error.
  if (parsed.success && isDefault(parsed.data, row)) return { isUsed: false }
  throw monocerosError('ERR_SETTING_LATER', given.subject)
}

function checkInapplicable(given: SettingEntry, row: InapplicableRow): CheckedValue {
  const { value } = checkValue(given, row)
  if (row.whenSet === 'ignore' || isDefault(value, row)) return { isUsed: false }
  if (row.whenSet === 'reject')
    throw monocerosError('ERR_SETTING_REFUSED', given.subject, row.reason)
  return { isUsed: false, warning: `${given.subject} has no effect: ${row.reason}.` }
}

function isDefault(value: unknown, row: Row): boolean {
  return value === null || isDeepStrictEqual(value, row.default)
}

function checkValue(given: SettingEntry, row: Row): { value: unknown; warning?: string } {
  const { kind } = row
  const { value, warning } = translate(given, kind)
  const candidate = fromText(kind, value)
  const parsed = kind.schema.safeParse(candidate)
  if (!parsed.success) throw makeValueError(given, kind, candidate)
  return { value: parsed.data, warning }
}

// Only a single text is converted. The items of a list are texts already.
function fromText(kind: ValueKind, value: unknown): unknown {
  return typeof value === 'string' ? kind.fromText(value) : value
}

function translate(given: SettingEntry, kind: ValueKind): { value: unknown; warning?: string } {
  const { value, subject } = given
  const meaning = typeof value === 'string' ? kind.translate?.(value) : undefined
  if (meaning === undefined) return { value }
  const warning = `${subject}: "${value}" is a value of Gunicorn; here it means "${meaning}".`
  return { value: meaning, warning }
}

function makeValueError(given: SettingEntry, kind: ValueKind, candidate: unknown): Error {
  const { subject, derived } = given
  if (derived !== undefined) {
    return monocerosError(
      'ERR_SETTING_VALUE',
      subject,
      derived.allowed,
      describeValue(derived.from),
      '.',
    )
  }
  const whole = typeof candidate === 'string' ? kind.problem?.(candidate) : undefined
  const invalid = kind.list?.findInvalidItem(candidate) ?? { value: candidate, problem: whole }
  if (invalid.problem !== undefined) {
    return monocerosError(
      'ERR_SETTING_ITEM',
      subject,
      describeValue(invalid.value),
      invalid.problem,
    )
  }
  const word = typeof invalid.value === 'string' ? invalid.value : ''
  const ending = didYouMean(word, kind.words ?? [])
  return monocerosError(
    'ERR_SETTING_VALUE',
    subject,
    kind.allowed,
    describeValue(invalid.value),
    ending,
  )
}

function describeValue(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  const text = jsonOf(value) ?? inspect(value, { breakLength: Number.POSITIVE_INFINITY })
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text
}

// `JSON.stringify` turns NaN and Infinity into null. It throws for a bigint and for a getter that
// throws.
function jsonOf(value: unknown): string | undefined {
  if (typeof value === 'number') return undefined
  try {
    return JSON.stringify(value)
  } catch {
    // The caller uses `inspect` instead.
    return undefined
  }
}

function isOneOf(word: string, words: readonly string[]): boolean {
  return words.includes(word)
}
