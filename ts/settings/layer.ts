/**
 * One source of settings (a file, the environment, a command line): what it gives, before any check.
 */
import type { RowName } from './names.ts'

export interface SettingEntry {
  readonly name: RowName
  /** Text and lists of text are still to be converted. */
  readonly value: unknown
  /** The setting as its source calls it, for messages: `--workers`, `MONOCEROS_WORKERS`, `workers in x.config.js`. */
  readonly subject: string
  /** In place of the kind's own words and value, when the value was made from something else. */
  readonly made?: { readonly allowed: string; readonly from: string }
}

export interface SettingsLayer {
  readonly origin: string
  readonly source: 'default' | 'file' | 'environment' | 'flag'
  readonly given: readonly SettingEntry[]
}
