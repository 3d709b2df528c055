/**
 * `logconfig`, `logconfig_json`, `logconfig_dict`: the settings of the logs together, in a file of their own or as an
 * object. They win over the same settings given one by one, and each over the one before it, as in Gunicorn.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import { parseJson } from './load.ts'
import { ROWS, type RowName } from './names.ts'
import { didYouMean } from './nearest.ts'

const FORMS = ['logconfig', 'logconfig_json', 'logconfig_dict'] as const

/** What they may hold. */
const NAMES: readonly RowName[] = ROWS.filter(
  ([name, row]) => row.section === 'Logging' && !FORMS.some((form) => form === name),
).map(([name]) => name)

/** What an object for Python's logging.config has at its top. */
const PYTHON = ['version', 'formatters', 'handlers', 'loggers', 'root', 'disable_existing_loggers']

/** The layers above all others. */
export function logConfigLayers(layers: readonly SettingsLayer[], cwd: string): SettingsLayer[] {
  return FORMS.flatMap((form) => {
    const given = layers.flatMap((layer) => layer.given).findLast(({ name }) => name === form)
    if (given === undefined || given.value === null) return []
    const { value, label } =
      typeof given.value === 'string' && form !== 'logconfig_dict'
        ? { value: readObject(given, given.value, cwd), label: given.value }
        : { value: objectOf(given), label: form }
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

// In the environment the object is JSON.
function objectOf(given: SettingEntry): unknown {
  if (typeof given.value !== 'string') return given.value
  try {
    return JSON.parse(given.value)
  } catch {
    // The check of the setting itself says what it must be.
    return {}
  }
}

function settingsOf(value: unknown, label: string): SettingEntry[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw monocerosError('ERR_LOG_CONFIG', label, 'it is no object of settings')
  }
  return Object.entries(value).map(([written, each]) => {
    const name = NAMES.find((known) => known === written)
    if (name !== undefined) return { name, value: each, subject: `${written} in ${label}` }
    if (PYTHON.includes(written)) {
      throw monocerosError('ERR_LOG_CONFIG', label, "it is one for Python's logging")
    }
    throw monocerosError('ERR_SETTING_UNKNOWN', written, label, didYouMean(written, NAMES))
  })
}
