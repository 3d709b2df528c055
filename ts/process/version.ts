/** The version of this package, from package.json. */
import { readFileSync } from 'node:fs'

/** Reads the version from package.json. */
export function readPackageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
  return version
}
