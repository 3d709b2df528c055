/** The version of this package, from package.json, and its directory. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Reads the version from package.json. */
export function readPackageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
  return version
}

/** Returns the directory of this package, with a slash at the end. */
export function packageDirectory(): string {
  return fileURLToPath(new URL('../../', import.meta.url))
}
