// Prepares the package for `npm pack` and `npm publish`, as the scripts `prepack` and `postpack`:
// builds, and adds the dependencies on the platform packages to package.json. Only the packed
// package.json lists them. If they were committed, `npm ci` in a clone would request versions that
// are not published yet.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from './build.ts'
import { isMain, ROOT } from './command.ts'
import { readStamp, writeStamp } from './freshness.ts'

const MANIFEST = join(ROOT, 'package.json')
/** Name of the stamp that stores the committed package.json until `postpack`. */
const MANIFEST_STAMP = 'package.json'

/** Names and versions of the platform packages in npm/. The versions equal that of this package. */
export function platformDependencies(): Record<string, string> {
  const names = readdirSync(join(ROOT, 'npm')).sort()
  return Object.fromEntries(
    names.map((name) => {
      const manifest = JSON.parse(readFileSync(join(ROOT, 'npm', name, 'package.json'), 'utf8'))
      return [manifest.name, manifest.version]
    }),
  )
}

/** Adds the platform packages to the text of package.json, as it is packed. */
export function withPlatformDependencies(text: string): string {
  const manifest = { ...JSON.parse(text), optionalDependencies: platformDependencies() }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/** Builds, and adds the dependencies to package.json until `postpack` removes them. */
async function prepack(): Promise<boolean> {
  if (!(await build())) return false
  if (!existsSync(join(ROOT, 'dist/native/binding.cjs'))) {
    console.error(
      'dist/native/binding.cjs is missing, and the package needs it to load its platform',
    )
    console.error('package. Install cargo and run `npm run build` to create it.')
    return false
  }
  const text = readFileSync(MANIFEST, 'utf8')
  writeStamp(MANIFEST_STAMP, text)
  writeFileSync(MANIFEST, withPlatformDependencies(text))
  return true
}

function postpack(): void {
  const text = readStamp(MANIFEST_STAMP)
  if (text !== undefined) writeFileSync(MANIFEST, text)
}

if (isMain(import.meta.url)) {
  const step = process.argv[2]
  if (step === 'prepack') process.exitCode = (await prepack()) ? 0 : 1
  if (step === 'postpack') postpack()
}
