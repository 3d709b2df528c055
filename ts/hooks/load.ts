/**
 * Loads the functions of hooks: from the settings, the config file, or modules that the settings
 * name.
 */

import { resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import { describeThrown } from '../log/thrown-value.ts'
import { loadFreshModule } from '../settings/load.ts'
import { HOOK_NAMES, type HookName } from './table.ts'

/** A hook as a plain function; `HookFunctions` has the parameter types. */
export type Hook = (...details: unknown[]) => unknown
/** The loaded hooks by name. */
export type HookTable = ReadonlyMap<HookName, Hook>

/**
 * Takes functions as they are and loads modules (`./hooks.js` or `./hooks.js:name`). The table
 * lacks hooks that are not set.
 */
export async function loadHooks(
  given: Readonly<Partial<Record<HookName, unknown>>>,
  directory: string,
): Promise<HookTable> {
  const table = new Map<HookName, Hook>()
  for (const name of HOOK_NAMES) {
    const value = given[name]
    if (isHook(value)) table.set(name, value)
    if (typeof value === 'string') table.set(name, await loadHook(name, value, directory))
  }
  return table
}

/** Loads the hooks with these names from a config file. */
export async function loadHooksFromFile(
  path: string,
  names: readonly HookName[],
): Promise<HookTable> {
  const loaded = toObject(await loadFreshModule(path))
  const settings = 'default' in loaded ? toObject(loaded.default) : loaded
  const table = new Map<HookName, Hook>()
  for (const name of names) {
    const value = settings[name]
    if (isHook(value)) table.set(name, value)
  }
  return table
}

async function loadHook(name: HookName, spec: string, directory: string): Promise<Hook> {
  const [, path = spec, exportName] = /^(.+?)(?::([A-Za-z_$][\w$]*))?$/.exec(spec) ?? []
  let loaded: Record<string, unknown>
  try {
    loaded = toObject(await loadFreshModule(resolve(directory, path)))
  } catch (thrown) {
    if (thrown instanceof MonocerosError) throw thrown
    throw monocerosError('ERR_HOOK_LOAD', name, spec, describeThrown(thrown)).withCause(thrown)
  }
  const hook = loaded[exportName ?? 'default'] ?? toObject(loaded.default)[exportName ?? '']
  if (!isHook(hook)) throw monocerosError('ERR_HOOK_LOAD', name, spec, 'there is no such function')
  return hook
}

function isHook(value: unknown): value is Hook {
  return typeof value === 'function'
}

function toObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
