/**
 * The settings of one source, such as a file, the environment or a command line, before any check.
 */
import type { RowName } from './names.ts'

/** One setting of a source. */
export interface SettingEntry {
  readonly name: RowName
  /** The value as the source has it. Text is converted later. */
  readonly value: unknown
  /** The name in messages: `--workers`, `MONOCEROS_WORKERS` or `workers in x.config.js`. */
  readonly subject: string
  /** For a value that was derived from another text: that text, and what is allowed for it. */
  readonly derived?: { readonly allowed: string; readonly from: string }
}

/** All settings of one source. */
export interface SettingsLayer {
  /** The name of the source, as --print-config shows it. */
  readonly origin: string
  readonly source: 'default' | 'file' | 'environment' | 'flag'
  readonly given: readonly SettingEntry[]
}
