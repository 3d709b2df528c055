/**
 * Finds rows of the settings table by the names in files, in the environment and on the command
 * line.
 */
import type { Row } from './rows.ts'
import { TABLE } from './table.ts'

export type RowName = keyof typeof TABLE

export const ENVIRONMENT_PREFIX = 'MONOCEROS_'

/** All rows with their names, in the order of Gunicorn's documentation. */
export const ROWS: readonly (readonly [RowName, Row])[] = Object.entries(TABLE) as [RowName, Row][]

/** Names and aliases. */
const byName = new Map<string, RowName>()
for (const [name, row] of ROWS) {
  for (const known of [name, ...(row.aliases ?? [])]) byName.set(known, name)
}

/** Returns the setting with this name or alias in a config file. */
export function findSettingName(name: string): RowName | undefined {
  return byName.get(name)
}

/** Returns the setting that an environment variable sets. */
export function settingNameOfVariable(variable: string): RowName | undefined {
  const name = variable.slice(ENVIRONMENT_PREFIX.length)
  return name === name.toUpperCase() ? byName.get(name.toLowerCase()) : undefined
}

/** Returns the environment variable of a setting. */
export function variableOf(name: string): string {
  return ENVIRONMENT_PREFIX + name.toUpperCase()
}

/** Returns all names and aliases of settings in a config file. */
export function knownNames(): Iterable<string> {
  return byName.keys()
}

/** Returns the row of a setting. */
export function rowOf(name: RowName): Row {
  return TABLE[name]
}

/** Returns the long flag that help and messages show for a setting. */
export function flagOf(name: RowName): string {
  const flags = rowOf(name).flags ?? []
  return flags.find((flag) => flag.startsWith('--')) ?? ''
}
