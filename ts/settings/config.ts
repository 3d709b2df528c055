/**
 * The settings of one start or reload: default < config file < environment < MONOCEROS_CMD_ARGS < command line,
 * checked, complete and frozen, with the origin of each value.
 */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { z } from 'zod/mini'

import { monocerosError } from '../errors.ts'
import { parseArgv } from './argv.ts'
import { checkGiven } from './check.ts'
import { applyDebuggerDefaults, requireExtraFiles } from './development.ts'
import { type Environment, environmentLayer } from './environment.ts'
import { fileLayer, findConfigFile, settingsLayer } from './file.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import { logConfigLayers } from './log-config.ts'
import { ROWS, type RowName } from './names.ts'
import { shellWords } from './shell-words.ts'
import type { TABLE } from './table.ts'

type Table = typeof TABLE

type NameOf<Status> = {
  [Name in keyof Table]: Table[Name]['status'] extends Status ? Name : never
}[keyof Table]

/** The name of a setting that works. */
export type SettingName = NameOf<'supported'>

type FileName = {
  [Name in SettingName]: Table[Name] extends { sources: unknown } ? never : Name
}[SettingName]

/** All settings that work, complete; the same in the arbiter and, as JSON, in workers. */
export type Config = {
  readonly [Name in SettingName]: Frozen<z.output<Table[Name]['kind']['schema']>>
}

type Frozen<T> = T extends readonly (infer Item)[] ? readonly Item[] : T

/** What a config file may say. */
export type ConfigFile = {
  -readonly [Name in FileName]?: z.input<Table[Name]['kind']['schema']>
}

export interface ResolvedConfig {
  readonly values: Config
  /** Where each value comes from: "default", a file, a variable, "MONOCEROS_CMD_ARGS" or "command line". */
  readonly origins: Readonly<Record<SettingName, string>>
  /** The config file, if there is one. */
  readonly file?: string | undefined
  /** Sentences to log: what was taken but means something else here, or nothing. */
  readonly warnings: readonly string[]
}

export interface ConfigSource {
  /** The command line without the program. */
  readonly argv: readonly string[]
  readonly env: Environment
  /** The directory of the start. */
  readonly cwd: string
  /** What a program gives that embeds the server: above the defaults, below all else. No config file is looked for then. */
  readonly embedded?: ConfigFile
}

/** Where the settings of a program come from, in messages. */
const EMBEDDED = 'run()'

/** Reads all sources, the config file afresh, and gives the settings that they make together. */
export async function resolveConfig({
  argv,
  env,
  cwd,
  embedded,
}: ConfigSource): Promise<ResolvedConfig> {
  const commandLine: SettingsLayer = {
    origin: 'command line',
    source: 'flag',
    given: parseArgv(argv).given,
  }
  const words = shellWords(env.MONOCEROS_CMD_ARGS ?? '')
  const commandArgs: SettingsLayer = {
    origin: 'MONOCEROS_CMD_ARGS',
    source: 'flag',
    given: parseArgv(words, ' in MONOCEROS_CMD_ARGS').given,
  }
  const environment = environmentLayer(env)

  const program = embedded === undefined ? [] : [settingsLayer(embedded, EMBEDDED)]
  const named = lastText('config', [environment, commandArgs, commandLine])
  const looked = named !== undefined || embedded === undefined
  const file = looked ? findConfigFile(named, cwd) : undefined
  const fromFile = file === undefined ? [] : [await fileLayer(file)]
  const single = [...program, ...fromFile, environment, commandArgs, commandLine]
  const layers = [...single, ...logConfigLayers(single, cwd)]
  const settled = settle([defaultLayer(env, layers), ...layers], cwd)
  const warnings =
    file?.warning === undefined ? settled.warnings : [file.warning, ...settled.warnings]
  return Object.freeze({ ...settled, file: file?.path, warnings: Object.freeze(warnings) })
}

/** Refuses settings that name no application. */
export function requireApplication(resolved: ResolvedConfig): ResolvedConfig {
  if (resolved.values.app === null) throw monocerosError('ERR_APP_NONE')
  return resolved
}

function settle(layers: readonly SettingsLayer[], cwd: string): ResolvedConfig {
  const values: Record<string, unknown> = {}
  const origins: Record<string, string> = {}
  const warnings = new Set<string>()
  for (const [name, row] of ROWS) {
    if (row.status !== 'supported') continue
    values[name] = row.default
    origins[name] = 'default'
  }
  values.chdir = cwd

  for (const layer of layers) {
    for (const given of layer.given) {
      const checked = checkGiven(given, layer.source)
      if (checked.warning !== undefined) warnings.add(checked.warning)
      if (!checked.use) continue
      if (given.name === 'reload_extra_files') {
        requireExtraFiles(checked.value, { subject: given.subject, cwd })
      }
      values[given.name] =
        given.name === 'chdir'
          ? requireDirectory(String(checked.value), { given, cwd })
          : checked.value
      origins[given.name] =
        layer.source === 'flag' || layer.source === 'file' ? layer.origin : given.subject
    }
  }
  applyDebuggerDefaults(values, origins)
  for (const value of Object.values(values)) Object.freeze(value)
  // The one place where the complete object becomes its type: the loop above went through the same table.
  return {
    values: Object.freeze(values) as Config,
    origins: Object.freeze(origins) as ResolvedConfig['origins'],
    warnings: [...warnings],
  }
}

// Defaults that a platform's variable moves, unless the setting is given: PORT may mean something else then.
function defaultLayer(env: Environment, layers: readonly SettingsLayer[]): SettingsLayer {
  const given: SettingEntry[] = []
  for (const [name, row] of ROWS) {
    if (row.status !== 'supported' || row.defaultFrom === undefined) continue
    const { variable, toText, allowed } = row.defaultFrom
    const from = env[variable]
    if (from === undefined || from === '' || isGiven(name, layers)) continue
    given.push({ name, value: toText(from), subject: variable, made: { allowed, from } })
  }
  return { origin: 'default', source: 'default', given }
}

function isGiven(name: RowName, layers: readonly SettingsLayer[]): boolean {
  return layers.some((layer) => layer.given.some((given) => given.name === name))
}

function lastText(name: RowName, layers: readonly SettingsLayer[]): string | undefined {
  const value = layers
    .flatMap((layer) => layer.given)
    .findLast((given) => given.name === name)?.value
  return typeof value === 'string' ? value : undefined
}

function requireDirectory(
  path: string,
  { given, cwd }: { given: SettingEntry; cwd: string },
): string {
  const directory = resolve(cwd, path)
  const stats = statSync(directory, { throwIfNoEntry: false })
  if (stats === undefined)
    throw monocerosError('ERR_CHDIR', given.subject, path, 'it does not exist')
  if (!stats.isDirectory()) {
    throw monocerosError('ERR_CHDIR', given.subject, path, 'it is not a directory')
  }
  return directory
}
