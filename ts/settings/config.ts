/**
 * The settings of one start or reload: default < config file < environment < MONOCEROS_CMD_ARGS < command line,
 * checked, complete and frozen, with the origin of each value.
 */
import type { z } from 'zod'

import type { TABLE } from './table.ts'

type Table = typeof TABLE

type NameOf<Status> = {
  [Name in keyof Table]: Table[Name]['status'] extends Status ? Name : never
}[keyof Table]

/** The name of a setting that works. */
export type SettingName = NameOf<'built'>

/** All settings that work, complete; the same in the arbiter and, as JSON, in workers. */
export type Config = {
  readonly [Name in SettingName]: Frozen<z.output<Table[Name]['kind']['schema']>>
}

type Frozen<T> = T extends readonly (infer Item)[] ? readonly Item[] : T

/** What a config file may say. */
export type ConfigFile = {
  -readonly [Name in Exclude<SettingName, 'config' | 'check_config' | 'print_config'>]?: z.input<
    Table[Name]['kind']['schema']
  >
}

export interface ResolvedConfig {
  readonly values: Config
  /** Where each value comes from: "default", a file, a variable, "MONOCEROS_CMD_ARGS" or "command line". */
  readonly origins: Readonly<Record<SettingName, string>>
  /** Sentences to log: what was taken but means something else here, or nothing. */
  readonly warnings: readonly string[]
}
