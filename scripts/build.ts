// `npm run build [-- --ring]`: the addon by cargo (with ring's cryptography where aws-lc cannot be built), then dist/:
// declarations by the TypeScript compiler, modules by esbuild. What is up to date is left alone.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { build as bundle } from 'esbuild'
import { isMain, ROOT, run, runBin } from './command.ts'
import { filesBelow, fingerprint, readStamp, writeStamp } from './freshness.ts'

export type Profile = 'quick' | 'release'

const NATIVE = join(ROOT, 'dist', 'native')
const ADDON_SOURCES = ['crates', 'build.rs', 'Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml']
const FEATURES = process.argv.includes('--ring') ? ['--no-default-features', '--features=ring'] : []
const DIST_SOURCES = ['ts', 'tsconfig.json', 'scripts/build.ts']

/**
 * What is started or imported by name. What two entries of a set share is in a file of its own, so that a module exists
 * once in a process; sets meet in no process, and a worker has fewer files for it.
 */
const SETS: readonly EntrySet[] = [
  { entries: ['cli/main', 'index'], chunks: 'shared' },
  { entries: ['worker/main', 'worker/watcher-thread', 'register/register'], chunks: 'shared' },
  // For the bench, which measures parts; not in the package.
  {
    entries: [
      ...['engine/auto', 'engine/exchange', 'http/detect', 'http/node/listen'],
      ...['listen/bind-native', 'listen/bind-node', 'native/index', 'settings/config'],
    ],
    folder: 'parts/',
    chunks: 'parts',
  },
]

interface EntrySet {
  readonly entries: readonly string[]
  /** Below dist/, with a slash. */
  readonly folder?: string
  /** The folder of what they share: as deep as the entries, for the paths in it are relative to itself. */
  readonly chunks: string
}

/** Builds what is out of date. Without cargo that is dist/ alone, and one line says so. */
export async function build(profile: Profile = 'quick'): Promise<boolean> {
  return (await buildAddon(profile)) && (await buildDist())
}

/** The cargo profile of the addon that lies in dist/native, for those who print figures of it. */
export function addonProfile(): string {
  return addonPath() === undefined ? 'none' : (readStamp('addon')?.split(' ')[0] ?? 'unknown')
}

/** The addon for this machine in dist/native, if it has been built. */
export function addonPath(): string | undefined {
  if (!existsSync(NATIVE)) return undefined
  const name = readdirSync(NATIVE).find((file) => file.endsWith('.node'))
  return name === undefined ? undefined : join(NATIVE, name)
}

async function buildAddon(profile: Profile): Promise<boolean> {
  const obstacle = await cargoObstacle()
  if (obstacle !== undefined) {
    if (addonPath() === undefined) {
      console.log(`${obstacle}: the pure TypeScript engine is used (docs/engines.md)`)
    }
    return true
  }
  // What was built with the release profile serves where the quick one would do.
  const isBuilt = (built: Profile) => readStamp('addon') === stampOf(built)
  const isCurrent = isBuilt(profile) || (profile === 'quick' && isBuilt('release'))
  if (isCurrent && addonPath() !== undefined) return true

  console.log(`building the addon (cargo profile ${profile})`)
  mkdirSync(NATIVE, { recursive: true })
  const { status } = await runBin('napi', [
    ...['build', '--platform', '--profile', profile, '--output-dir', 'dist/native'],
    ...FEATURES,
    ...['--js', 'binding.cjs', '--dts', '../../ts/native/binding.d.cts'],
  ])
  if (status === 0) writeStamp('addon', stampOf(profile))
  return status === 0
}

function stampOf(profile: Profile): string {
  return [profile, fingerprint(ADDON_SOURCES), ...FEATURES].join(' ')
}

/** Why cargo cannot build the addon here, or nothing if it can. */
export async function cargoObstacle(): Promise<string | undefined> {
  const { status, output } = await run('cargo', ['--version'], { show: false })
  const found = /^cargo (\d+)\.(\d+)/m.exec(output)
  if (status !== 0 || found === null) return 'no cargo here to build the addon'
  const manifest = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8')
  const wanted = /^rust-version = "(\d+)\.(\d+)/m.exec(manifest)
  const number = (match: RegExpExecArray | null) => Number(match?.[1]) * 1000 + Number(match?.[2])
  if (number(found) >= number(wanted)) return undefined
  return `cargo here is ${found[1]}.${found[2]}, the addon needs ${wanted?.[1]}.${wanted?.[2]}`
}

async function buildDist(): Promise<boolean> {
  const current = fingerprint(DIST_SOURCES)
  if (readStamp('dist') === current && existsSync(join(ROOT, 'dist/cli/main.js'))) return true

  const declare = ['--project', 'tsconfig.json', '--emitDeclarationOnly']
  const { status } = await runBin('tsc', declare)
  if (status !== 0) return false
  removeModules()
  for (const set of SETS) await bundleModules(set)
  // The compiler does not copy declarations that are not its own, and the emitted ones refer to this one.
  const declarations = join(ROOT, 'ts/native/binding.d.cts')
  if (existsSync(declarations)) {
    mkdirSync(NATIVE, { recursive: true })
    copyFileSync(declarations, join(NATIVE, 'binding.d.cts'))
  }
  writeStamp('dist', current)
  return true
}

/** A start costs by the file: the command and a worker load 150 of our own, and each is looked for, read and linked. */
async function bundleModules({ entries, folder = '', chunks }: EntrySet): Promise<void> {
  const { outputFiles } = await bundle({
    write: false,
    entryPoints: entries.map((name) => join(ROOT, 'ts', `${name}.ts`)),
    outbase: join(ROOT, 'ts'),
    outdir: join(ROOT, 'dist'),
    entryNames: `${folder}[dir]/[name]`,
    chunkNames: `${chunks}/[name]-[hash]`,
    bundle: true,
    splitting: true,
    // Not zod: see docs/design/dependencies.md.
    external: ['chokidar', 'commander', 'jiti', 'pino', 'sonic-boom'],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    legalComments: 'eof',
    logLevel: 'warning',
  })
  for (const { path, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, withoutFacades(text))
  }
}

/**
 * Node's own modules are taken as `require` gives them. An `import` of one makes an ES module of it and reads every name
 * that it has, and some names load more: `node:http` all of node's fetch since Node 22, which is 30 ms and 10 MB.
 */
export function withoutFacades(text: string): string {
  const imports = /^import (?:(?:\* as )?(\w+))?(?:, )?(\{[^}]*\})? from "(node:[\w/]+)";$/gm
  return text.replaceAll(imports, (_, whole?: string, names?: string, name?: string) => {
    return [whole, names]
      .filter((taken) => taken !== undefined)
      .map(
        (taken) => `const ${taken.replaceAll(' as ', ': ')} = process.getBuiltinModule("${name}");`,
      )
      .join('\n')
  })
}

/** What was built before from sources that may be gone: it would be packed and could be imported. */
function removeModules(): void {
  for (const file of filesBelow(join(ROOT, 'dist'))) {
    const stem = /^(.*)\/dist\/(.*?)(?:\.d\.ts|\.js)$/.exec(file)
    if (stem === null) continue
    if (file.endsWith('.js') || !existsSync(join(ROOT, 'ts', `${stem[2]}.ts`))) rmSync(file)
  }
}

if (isMain(import.meta.url)) {
  const profile = process.argv.includes('--release') ? 'release' : 'quick'
  process.exitCode = (await build(profile)) ? 0 : 1
}
