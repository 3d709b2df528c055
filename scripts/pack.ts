// What `npm pack` and `npm publish` need, run by the scripts `prepack` and `postpack`: a build, and the dependencies on
// the platform packages. Those are in the packed package.json only: were they committed, `npm ci` of a clone would ask
// the registry for versions that are not published yet.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from './build.ts'
import { isMain, ROOT } from './command.ts'
import { readStamp, writeStamp } from './freshness.ts'

const MANIFEST = join(ROOT, 'package.json')
/** Where the text of package.json is kept meanwhile. */
const COMMITTED = 'package.json'

/** The name and version of every platform package in npm/, the same version exactly as the package itself. */
export function platformDependencies(): Record<string, string> {
  const names = readdirSync(join(ROOT, 'npm')).sort()
  return Object.fromEntries(
    names.map((name) => {
      const manifest = JSON.parse(readFileSync(join(ROOT, 'npm', name, 'package.json'), 'utf8'))
      return [manifest.name, manifest.version]
    }),
  )
}

/** The text of package.json as it is packed. */
export function withPlatforms(text: string): string {
  const manifest = { ...JSON.parse(text), optionalDependencies: platformDependencies() }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/** Builds, and writes the dependencies into package.json until `postpack` takes them out again. */
async function prepack(): Promise<boolean> {
  if (!(await build())) return false
  if (!existsSync(join(ROOT, 'dist/native/binding.cjs'))) {
    console.error('dist/native/binding.cjs is missing: a package without it could not load its')
    console.error('platform package. It is written by `npm run build` where cargo is installed.')
    return false
  }
  const text = readFileSync(MANIFEST, 'utf8')
  writeStamp(COMMITTED, text)
  writeFileSync(MANIFEST, withPlatforms(text))
  return true
}

function postpack(): void {
  const text = readStamp(COMMITTED)
  if (text !== undefined) writeFileSync(MANIFEST, text)
}

if (isMain(import.meta.url)) {
  const step = process.argv[2]
  if (step === 'prepack') process.exitCode = (await prepack()) ? 0 : 1
  if (step === 'postpack') postpack()
}
