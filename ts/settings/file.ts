/**
 * The config file: which one, and its settings. It is loaded afresh at each call, so that a reload sees its changes.
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

/** Searched for in this order when no config file is named. */
export const DEFAULT_FILES = ['js', 'mjs', 'cjs', 'ts', 'json'].map(
  (extension) => `monoceros.config.${extension}`,
)

export interface FoundFile {
  readonly path: string
  /** The path as people read it: relative, when it lies in the directory of the start. */
  readonly label: string
  readonly warning?: string
}

/** The config file that is named, else the first default one that exists. */
export function findConfigFile(named: string | undefined, cwd: string): FoundFile | undefined {
  if (named !== undefined) return namedFile(named, cwd)
  const [first, ...others] = DEFAULT_FILES.filter((name) => existsSync(join(cwd, name)))
  if (first === undefined) return undefined
  const warning =
    others.length === 0 ? undefined : `${first} is used; ${others.join(' and ')} beside it is not.`
  return { path: join(cwd, first), label: first, warning }
}

/** The settings that a config file exports. */
export async function fileLayer({ path, label }: FoundFile): Promise<SettingsLayer> {
  const load = LOADERS[extname(path)]
  if (load === undefined) {
    throw monocerosError('ERR_CONFIG_FILE_KIND', label, joinWithOr(Object.keys(LOADERS)))
  }
  const loaded = await load(path).catch((error) => explain(error, { path, label }))
  try {
    return settingsLayer(settingsOf(loaded, label), label)
  } catch (error) {
    // What we refuse, or a getter of the file's.
    return explain(error, { path, label })
  }
}

/** The settings of an object, which came from wherever the label says. */
export function settingsLayer(settings: object, label: string): SettingsLayer {
  const given: SettingEntry[] = []
  for (const [written, value] of Object.entries(settings)) {
    // What a JSON file says to an editor.
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

async function explain(error: unknown, { path, label }: FoundFile): Promise<never> {
  if (error instanceof MonocerosError) throw error
  const problem = await describeLoadError(error, path)
  throw monocerosError('ERR_CONFIG_FILE_BROKEN', label, problem).withCause(error)
}

// A module's default export, else (as in Gunicorn's files) its named ones.
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
