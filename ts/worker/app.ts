/** Loads the application's module: `./app.js`, `./app.js:name`; CommonJS, ES modules and TypeScript. */

import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { describeThrown } from '../log/thrown-value.ts'
import { loadModule } from '../settings/load.ts'
import { setMainModule } from './main-module.ts'

/** A loaded module and which of its exports is meant. */
export interface LoadedApplication {
  readonly exports: unknown
  readonly exportName: string | undefined
}

/** Where an application is and which export of it. */
export interface ApplicationPath {
  readonly path: string
  readonly exportName: string | undefined
}

/** Splits `./app.js:name`; a colon inside a directory's name is none of ours. */
export function parseApplicationPath(app: string): ApplicationPath {
  const match = /^(.+):([A-Za-z_$][\w$]*)$/.exec(app)
  if (match?.[1] === undefined) return { path: app, exportName: undefined }
  return { path: match[1], exportName: match[2] }
}

/** Loads it; every way to fail is one error of the table. */
export async function loadApplication(app: string, directory: string): Promise<LoadedApplication> {
  const { path, exportName } = parseApplicationPath(app)
  const file = findFile(resolve(directory, path))
  if (file === undefined) throw monocerosError('ERR_APP_MISSING', app, resolve(directory, path))
  setMainModule(file)
  try {
    return { exports: await loadModule(file), exportName }
  } catch (thrown) {
    throw monocerosError('ERR_APP_BROKEN', app, describeThrown(thrown)).withCause(thrown)
  }
}

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '.tsx']

function findFile(path: string): string | undefined {
  if (isFile(path)) return path
  const found = EXTENSIONS.map((extension) => path + extension).find(isFile)
  if (found !== undefined) return found
  if (!existsSync(path)) return undefined
  try {
    // A directory: its package.json or index.js says which file.
    return createRequire(join(path, 'index.js')).resolve(path)
  } catch {
    // Neither is there: the caller says what is missing.
    return undefined
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}
