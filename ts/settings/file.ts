/**
 * Finds and loads the config file. Each call loads it anew, so that a reload sees its changes.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname, join, relative, resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import { joinWithOr } from './kinds.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import { describeLoadError, loadFreshModule, loadJson } from './load.ts'
import { findSettingName, knownNames } from './names.ts'
import { didYouMean } from './nearest.ts'

const LOADERS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  '.js': loadFreshModule,
  '.mjs': loadFreshModule,
  '.cjs': loadFreshModule,
  '.ts': loadFreshModule,
  '.mts': loadFreshModule,
  '.cts': loadFreshModule,
  '.json': loadJson,
}

/** The names of a config file that is not named by `config`, in the order of the search. */
export const DEFAULT_FILES = ['js', 'mjs', 'cjs', 'ts', 'json'].map(
  (extension) => `monoceros.config.${extension}`,
)

export interface FoundFile {
  readonly path: string
  /** The path in messages: relative if the file is in the start directory. */
  readonly label: string
  /** A sentence to log if several default files exist. */
  readonly warning?: string
}

/** Finds the named config file, else the first default file that exists. */
export function findConfigFile(named: string | undefined, cwd: string): FoundFile | undefined {
  if (named !== undefined) return namedFile(named, cwd)
  const [first, ...others] = DEFAULT_FILES.filter((name) => existsSync(join(cwd, name)))
  if (first === undefined) return undefined
  const warning =
    others.length === 0 ? undefined : `${first} is used; ${others.join(' and ')} beside it is not.`
  return { path: join(cwd, first), label: first, warning }
}

/** Loads the settings that a config file exports. */
export async function fileLayer({ path, label }: FoundFile): Promise<SettingsLayer> {
  const load = LOADERS[extname(path)]
  if (load === undefined) {
    throw monocerosError('ERR_CONFIG_FILE_KIND', label, joinWithOr(Object.keys(LOADERS)))
  }
  const loaded = await load(path).catch((error) => rethrowExplained(error, { path, label }))
  try {
    return settingsLayer(settingsOf(loaded, label), label)
  } catch (error) {
    // Either we reject a value, or a getter of the file throws.
    return rethrowExplained(error, { path, label })
  }
}

/** Reads settings from an object; `label` names its origin in messages. */
export function settingsLayer(settings: object, label: string): SettingsLayer {
  const given: SettingEntry[] = []
  for (const [written, value] of Object.entries(settings)) {
    // Editors read the schema of a JSON file from this key.
    if (written === '$schema') continue
    const name = findSettingName(written)
    if (name === undefined) {
      const ending = didYouMean(written, knownNames())
      throw monocerosError('ERR_SETTING_UNKNOWN', written, label, ending)
    }
    if (value !== undefined) given.push({ name, value, subject: `${written} in ${label}` })
  }
  return { origin: label, source: 'file', given }
}

function namedFile(named: string, cwd: string): FoundFile {
  if (named.startsWith('python:')) throw monocerosError('ERR_CONFIG_FILE_FORM', named)
  const path = named.startsWith('module:')
    ? resolveModule(named.slice('module:'.length), cwd)
    : resolve(cwd, named.replace(/^file:(\/\/(?=\/))?/, ''))
  const inside = relative(cwd, path)
  const label = inside.startsWith('..') ? path : inside
  if (!existsSync(path)) throw monocerosError('ERR_CONFIG_FILE_MISSING', label)
  return { path, label }
}

function resolveModule(name: string, cwd: string): string {
  try {
    return createRequire(join(cwd, 'monoceros.config.js')).resolve(name)
  } catch (error) {
    throw monocerosError('ERR_CONFIG_FILE_MISSING', `module:${name}`).withCause(error)
  }
}

async function rethrowExplained(error: unknown, { path, label }: FoundFile): Promise<never> {
  if (error instanceof MonocerosError) throw error
  const problem = await describeLoadError(error, path)
  throw monocerosError('ERR_CONFIG_FILE_BROKEN', label, problem).withCause(error)
}

// The settings are the default export of a module, else its named exports, as in Gunicorn's files.
function settingsOf(loaded: unknown, label: string): object {
  const exported = isPlain(loaded) && 'default' in loaded ? loaded.default : loaded
  if (isPlain(exported)) return exported
  const got =
    exported === null || Array.isArray(exported) ? JSON.stringify(exported) : typeof exported
  throw monocerosError('ERR_CONFIG_FILE_SHAPE', label, got)
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
