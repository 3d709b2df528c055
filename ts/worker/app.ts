/**
 * Loads the application's module: `./app.js`, `./app.js:name`; CommonJS, ES modules and TypeScript.
 */

import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { loadModule } from '../settings/load.ts'
import { setMainModule } from './main-module.ts'

/**
 * A loaded module, with the name of the export that is the application; undefined means detection.
 */
export interface LoadedApplication {
  readonly exports: unknown
  readonly exportName: string | undefined
}

/** The path of an application's module, with the export that the setting `app` names. */
export interface ApplicationPath {
  readonly path: string
  readonly exportName: string | undefined
}

/**
 * Splits `./app.js:name` at its last colon; a colon before a path separator belongs to a
 * directory's name.
 */
export function parseApplicationPath(app: string): ApplicationPath {
  const match = /^(.+):([A-Za-z_$][\w$]*)$/.exec(app)
  if (match?.[1] === undefined) return { path: app, exportName: undefined }
  return { path: match[1], exportName: match[2] }
}

/** Loads the application; throws ERR_APP_MISSING or ERR_APP_BROKEN. */
export async function loadApplication(
  app: string,
  directory: string,
  args: readonly string[] = [],
): Promise<LoadedApplication> {
  const { path, exportName } = parseApplicationPath(app)
  const file = findFile(resolve(directory, path))
  if (file === undefined) {
    throw monocerosError('ERR_APP_MISSING', app, describeMissing(resolve(directory, path)))
  }
  setMainModule(file, args)
  try {
    return { exports: await loadModule(file), exportName }
  } catch (thrown) {
    // Imported here: keeps a worker small whose application loads.
    const { describeWithPlace } = await import('./syntax-error.ts')
    const text = await describeWithPlace(thrown, [file])
    throw monocerosError('ERR_APP_BROKEN', app, text).withCause(thrown)
  }
}

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '.tsx']

function findFile(path: string): string | undefined {
  if (isFile(path)) return path
  const found = EXTENSIONS.map((extension) => path + extension).find(isFile)
  if (found !== undefined) return found
  if (!existsSync(path)) return undefined
  try {
    // In a directory, package.json or index.js names the file.
    return createRequire(join(path, 'index.js')).resolve(path)
  } catch {
    // The directory has neither; the caller reports ERR_APP_MISSING.
    return undefined
  }
}

function describeMissing(path: string): string {
  if (!existsSync(path)) return `there is no file ${path}`
  return `the directory ${path} has no index.js, and no package.json whose main is a file`
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}
