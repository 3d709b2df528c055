/** The types of the settings that engines read, whose rows have an `engine` column. */
import type { Config } from './config.ts'
import type { TABLE } from './table.ts'

type Table = typeof TABLE

/** The name of a setting that an engine reads. */
export type EngineSettingName = {
  [Name in keyof Table]: Table[Name] extends { readonly engine: object } ? Name : never
}[keyof Table] &
  keyof Config

/** The settings that an engine reads: a part of `Config`. */
export type EngineSettings = Pick<Config, EngineSettingName>
