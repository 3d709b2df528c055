/** The settings that engines read, as types: those whose row has an `engine` column. */
import type { Config } from './config.ts'
import type { TABLE } from './table.ts'

type Table = typeof TABLE

/** The name of a setting that an engine reads. */
export type EngineSettingName = {
  [Name in keyof Table]: Table[Name] extends { readonly engine: object } ? Name : never
}[keyof Table] &
  keyof Config

/** The settings that an engine reads; a `Config` has them. */
export type EngineSettings = Pick<Config, EngineSettingName>
