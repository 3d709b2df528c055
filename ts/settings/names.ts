/**
 * Finds rows of the table by the names that people write: in files, in the environment, on the command line.
 */
import type { Row } from './rows.ts'
import { TABLE } from './table.ts'

export type RowName = keyof typeof TABLE

export const ENVIRONMENT_PREFIX = 'MONOCEROS_'

/** All rows with their names, in the order of the documentation. */
export const ROWS: readonly (readonly [RowName, Row])[] = Object.entries(TABLE) as [RowName, Row][]

const byName = new Map<string, RowName>()
for (const [name, row] of ROWS) {
  for (const known of [name, ...(row.aliases ?? [])]) byName.set(known, name)
}

/** The setting that a config file calls so, aliases included. */
export function findSettingName(name: string): RowName | undefined {
  return byName.get(name)
}

/** The setting that an environment variable is for. */
export function settingNameOfVariable(variable: string): RowName | undefined {
  const name = variable.slice(ENVIRONMENT_PREFIX.length)
  return name === name.toUpperCase() ? byName.get(name.toLowerCase()) : undefined
}

/** The environment variable of a setting. */
export function variableOf(name: string): string {
  return ENVIRONMENT_PREFIX + name.toUpperCase()
}

/** All names that a config file may use. */
export function knownNames(): Iterable<string> {
  return byName.keys()
}

/** The row of a name. */
export function rowOf(name: RowName): Row {
  return TABLE[name]
}

/** The flag of a setting that help and messages show. */
export function flagOf(name: RowName): string {
  const flags = rowOf(name).flags ?? []
  return flags.find((flag) => flag.startsWith('--')) ?? ''
}
