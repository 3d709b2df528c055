/**
 * Reads `logconfig`, `logconfig_json` and `logconfig_dict`: the settings of the logs in a separate
 * file or as an object. They override the same settings given one by one, and each overrides the
 * one before it, as in Gunicorn.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import { parseJson } from './load.ts'
import { ROWS, type RowName } from './names.ts'
import { didYouMean } from './nearest.ts'

/** The three settings, in ascending precedence. */
const SOURCES = ['logconfig', 'logconfig_json', 'logconfig_dict'] as const

/** The settings that such a file or object may have. */
const NAMES: readonly RowName[] = ROWS.filter(
  ([name, row]) => row.section === 'Logging' && !SOURCES.some((known) => known === name),
).map(([name]) => name)

/** The top-level keys of an object for Python's `logging.config`. */
const PYTHON_KEYS = [
  'version',
  'formatters',
  'handlers',
  'loggers',
  'root',
  'disable_existing_loggers',
]

/** Returns the layers of these settings, which override all other layers. */
export function logConfigLayers(layers: readonly SettingsLayer[], cwd: string): SettingsLayer[] {
  return SOURCES.flatMap((source) => {
    const given = layers.flatMap((layer) => layer.given).findLast(({ name }) => name === source)
    if (given === undefined || given.value === null) return []
    const { value, label } =
      typeof given.value === 'string' && source !== 'logconfig_dict'
        ? { value: readObject(given, given.value, cwd), label: given.value }
        : { value: objectOf(given), label: source }
    return [{ origin: label, source: 'file', given: settingsOf(value, label) }]
  })
}

function readObject(given: SettingEntry, path: string, cwd: string): unknown {
  let text: string
  try {
    text = readFileSync(resolve(cwd, path), 'utf8')
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_CONFIG', given.subject, problem).withCause(cause)
  }
  if (/^\s*\[/.test(text)) {
    throw monocerosError('ERR_LOG_CONFIG', given.subject, "the file is one for Python's logging")
  }
  try {
    return parseJson(text)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_LOG_CONFIG', given.subject, problem).withCause(cause)
  }
}

// The environment has the object as JSON.
function objectOf(given: SettingEntry): unknown {
  if (typeof given.value !== 'string') return given.value
  try {
    return JSON.parse(given.value)
  } catch {
    // The check of `logconfig_dict` itself reports the error.
    return {}
  }
}

function settingsOf(value: unknown, label: string): SettingEntry[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw monocerosError('ERR_LOG_CONFIG', label, 'it is not an object of settings')
  }
  return Object.entries(value).map(([written, each]) => {
    const name = NAMES.find((known) => known === written)
    if (name !== undefined) return { name, value: each, subject: `${written} in ${label}` }
    if (PYTHON_KEYS.includes(written)) {
      throw monocerosError('ERR_LOG_CONFIG', label, "it is one for Python's logging")
    }
    throw monocerosError('ERR_SETTING_UNKNOWN', written, label, didYouMean(written, NAMES))
  })
}
