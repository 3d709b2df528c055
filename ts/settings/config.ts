/**
 * Resolves the settings of one start or reload: default < config file < environment <
 * MONOCEROS_CMD_ARGS < command line. The result is checked, complete and frozen, and has the origin
 * of each value.
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

/** The name of a supported setting. */
export type SettingName = NameOf<'supported'>

/** The name of a setting that a config file may have. */
type FileSettingName = {
  [Name in SettingName]: Table[Name] extends { sources: unknown } ? never : Name
}[SettingName]

/** All supported settings with their values. Workers get a copy of the arbiter's as JSON. */
export type Config = {
  readonly [Name in SettingName]: Frozen<z.output<Table[Name]['kind']['schema']>>
}

type Frozen<T> = T extends readonly (infer Item)[] ? readonly Item[] : T

/** The content of a config file: settings by name, all optional. */
export type ConfigFile = {
  -readonly [Name in FileSettingName]?: z.input<Table[Name]['kind']['schema']>
}

export interface ResolvedConfig {
  readonly values: Config
  /** The origin of each value: "default", a file, a variable, or "command line", for example. */
  readonly origins: Readonly<Record<SettingName, string>>
  /** The absolute path of the config file, if there is one. */
  readonly file?: string | undefined
  /** Sentences to log, about values that have another meaning here or none. */
  readonly warnings: readonly string[]
}

export interface ConfigSource {
  /** The arguments of the command line, without `node` and the program. */
  readonly argv: readonly string[]
  readonly env: Environment
  /** The start directory: the working directory of the command. */
  readonly cwd: string
  /**
   * The settings of a program that calls `run()`. Every other source except the defaults overrides
   * them. With them, Monoceros searches for no config file.
   */
  readonly embedded?: ConfigFile
}

/** The origin of embedded settings in messages. */
const EMBEDDED = 'run()'

/** Reads all sources and resolves them to one config. The config file is loaded anew. */
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
  const named = findLastText('config', [environment, commandArgs, commandLine])
  const needsFile = named !== undefined || embedded === undefined
  const file = needsFile ? findConfigFile(named, cwd) : undefined
  const fromFile = file === undefined ? [] : [await fileLayer(file)]
  const single = [...program, ...fromFile, environment, commandArgs, commandLine]
  const layers = [...single, ...logConfigLayers(single, cwd)]
  const merged = mergeLayers([defaultLayer(env, layers), ...layers], cwd)
  const warnings =
    file?.warning === undefined ? merged.warnings : [file.warning, ...merged.warnings]
  return Object.freeze({ ...merged, file: file?.path, warnings: Object.freeze(warnings) })
}

/** Returns the config, or throws ERR_APP_NONE if it names no application. */
export function requireApplication(resolved: ResolvedConfig): ResolvedConfig {
  if (resolved.values.app === null) throw monocerosError('ERR_APP_NONE')
  return resolved
}

function mergeLayers(layers: readonly SettingsLayer[], cwd: string): ResolvedConfig {
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
      if (!checked.isUsed) continue
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
  // The casts are safe: the loops above follow the same table as the types.
  return {
    values: Object.freeze(values) as Config,
    origins: Object.freeze(origins) as ResolvedConfig['origins'],
    warnings: [...warnings],
  }
}

// Takes defaults from the platform's variables, such as PORT. A variable is not read if a source
// has the setting, since it may then have another meaning.
function defaultLayer(env: Environment, layers: readonly SettingsLayer[]): SettingsLayer {
  const given: SettingEntry[] = []
  for (const [name, row] of ROWS) {
    if (row.status !== 'supported' || row.defaultFrom === undefined) continue
    const { variable, toText, allowed } = row.defaultFrom
    const from = env[variable]
    if (from === undefined || from === '' || isGiven(name, layers)) continue
    given.push({ name, value: toText(from), subject: variable, derived: { allowed, from } })
  }
  return { origin: 'default', source: 'default', given }
}

function isGiven(name: RowName, layers: readonly SettingsLayer[]): boolean {
  return layers.some((layer) => layer.given.some((given) => given.name === name))
}

function findLastText(name: RowName, layers: readonly SettingsLayer[]): string | undefined {
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
