// `npm run build [-- --ring]`: builds the addon with cargo, then dist/ with the TypeScript
// compiler (declarations) and esbuild (modules). `--ring` selects the cryptography of ring, for
// platforms where aws-lc does not build. Files that are up to date are not built again.

import {
  copyFileSync,
  cpSync,
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
const ADDON_SOURCES = ['crates', 'build.rs', 'Cargo.toml', 'Cargo.lock']
/** Arguments of cargo that select the cryptography of ring. */
const RING = ['--no-default-features', '--features=ring']
const FEATURES = process.argv.includes('--ring') ? RING : []
const DIST_SOURCES = ['ts', 'tsconfig.json', 'scripts/build.ts']

/**
 * Modules that are started or imported by name, in sets. Code that two entries of a set share gets
 * its own chunk, so that a module exists once in a process. No process loads entries of two sets,
 * so sets share no chunks and a worker loads fewer files.
 */
const ENTRY_SETS: readonly EntrySet[] = [
  { entries: ['cli/main', 'index'], chunks: 'shared' },
  {
    entries: [
      ...['worker/main', 'worker/watcher-thread', 'register/register'],
      'metrics/registries',
    ],
    chunks: 'shared',
  },
  // For benchmarks of single modules. The package does not contain them.
  {
    entries: [
      ...['engine/auto', 'engine/exchange', 'http/detect', 'http/node/listen'],
      ...['listen/bind-native', 'listen/bind-node', 'native/index', 'settings/config'],
    ],
    folder: 'parts/',
    chunks: 'parts',
  },
]

/** The parts of the status page, which the arbiter reads when it is first requested. */
const STATUS_PAGE = 'ts/metrics/status-page'

interface EntrySet {
  readonly entries: readonly string[]
  /** Output folder below dist/, with a trailing slash. */
  readonly folder?: string
  /**
   * Folder of the shared chunks below dist/. It must be as deep as the entries, because paths in a
   * chunk are relative to it.
   */
  readonly chunks: string
}

export interface BuildOptions {
  /**
   * Builds only what a start needs: no declarations, and an addon with ring, because aws-lc takes
   * most of the time. An addon of any profile and cryptography is used if it is up to date.
   */
  readonly isDevelopment?: boolean
}

/** Builds whatever is out of date. Without cargo it builds only dist/ and logs the reason. */
export async function build(
  profile: Profile = 'quick',
  { isDevelopment = false }: BuildOptions = {},
): Promise<boolean> {
  return (await buildAddon(profile, isDevelopment)) && (await buildDist(isDevelopment))
}

/** The cargo profile of the addon in dist/native, for benchmark reports. */
export function addonProfile(): string {
  return addonPath() === undefined ? 'none' : (readStamp('addon')?.split(' ')[0] ?? 'unknown')
}

/** Path of the addon for this machine in dist/native, if it has been built. */
export function addonPath(): string | undefined {
  if (!existsSync(NATIVE)) return undefined
  const name = readdirSync(NATIVE).find((file) => file.endsWith('.node'))
  return name === undefined ? undefined : join(NATIVE, name)
}

async function buildAddon(profile: Profile, isDevelopment: boolean): Promise<boolean> {
  const obstacle = await cargoObstacle()
  if (obstacle !== undefined) {
    if (addonPath() === undefined) {
      console.log(`${obstacle}: the pure TypeScript engine is used (docs/engines.md)`)
    }
    return true
  }
  const features = isDevelopment ? RING : FEATURES
  if (isCurrent(profile, isDevelopment) && addonPath() !== undefined) return true

  console.log(
    `building the addon (cargo profile ${profile}); ` +
      `the first build takes about ${isDevelopment ? 'one minute' : 'three minutes'} on two cores`,
  )
  mkdirSync(NATIVE, { recursive: true })
  const { status } = await runBin('napi', [
    ...['build', '--platform', '--profile', profile, '--output-dir', 'dist/native'],
    ...features,
    ...['--js', 'binding.cjs', '--dts', '../../ts/native/binding.d.cts'],
  ])
  if (status === 0) writeStamp('addon', stampOf(profile, features))
  return status === 0
}

/** Whether the addon of the last build satisfies a request. */
function isCurrent(profile: Profile, isDevelopment: boolean): boolean {
  // An addon of the release profile also satisfies a request for the quick profile.
  const profiles: readonly Profile[] = profile === 'quick' ? ['quick', 'release'] : [profile]
  const features = isDevelopment ? [RING, []] : [FEATURES]
  return profiles.some((built) =>
    features.some((chosen) => readStamp('addon') === stampOf(built, chosen)),
  )
}

function stampOf(profile: Profile, features: readonly string[]): string {
  return [profile, fingerprint(ADDON_SOURCES), ...features].join(' ')
}

/** Why cargo cannot build the addon on this machine, or undefined if it can. */
export async function cargoObstacle(): Promise<string | undefined> {
  const { status, output } = await run('cargo', ['--version'], { show: false })
  const found = /^cargo (\d+)\.(\d+)/m.exec(output)
  if (status !== 0 || found === null) return 'cargo is not installed, so the addon is not built'
  const manifest = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8')
  const wanted = /^rust-version = "(\d+)\.(\d+)/m.exec(manifest)
  const number = (match: RegExpExecArray | null) => Number(match?.[1]) * 1000 + Number(match?.[2])
  if (number(found) >= number(wanted)) return undefined
  return `cargo is ${found[1]}.${found[2]}, but the addon needs ${wanted?.[1]}.${wanted?.[2]}`
}

async function buildDist(isDevelopment: boolean): Promise<boolean> {
  const current = fingerprint(DIST_SOURCES)
  if (!isDevelopment && readStamp('declarations') !== current) {
    const declare = ['--project', 'tsconfig.json', '--emitDeclarationOnly']
    const { status } = await runBin('tsc', declare)
    if (status !== 0) return false
    writeStamp('declarations', current)
  }
  if (readStamp('dist') === current && existsSync(join(ROOT, 'dist/cli/main.js'))) return true

  removeModules()
  for (const set of ENTRY_SETS) await bundleModules(set)
  cpSync(join(ROOT, STATUS_PAGE), join(ROOT, 'dist/metrics/status-page'), { recursive: true })
  // The compiler does not copy `.d.cts` sources, but emitted declarations import this one.
  const declarations = join(ROOT, 'ts/native/binding.d.cts')
  if (existsSync(declarations)) {
    mkdirSync(NATIVE, { recursive: true })
    copyFileSync(declarations, join(NATIVE, 'binding.d.cts'))
  }
  writeStamp('dist', current)
  return true
}

/**
 * Bundles the modules of a set. Node finds, reads and links every file at a start, and the command
 * and a worker would load 150 modules of this package.
 */
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
    // zod is bundled: see docs/design/dependencies.md.
    external: ['chokidar', 'commander', 'jiti', 'pino', 'sonic-boom'],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    legalComments: 'eof',
    logLevel: 'warning',
  })
  for (const { path, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, replaceBuiltinImports(text))
  }
}

/**
 * Replaces imports of Node's built-in modules with `process.getBuiltinModule`. An `import` creates
 * an ES module and reads every exported name, and some getters load more code. Since Node 22,
 * `node:http` then loads Node's fetch, which takes 30 ms and 10 MB.
 */
export function replaceBuiltinImports(text: string): string {
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

/** Removes the output of earlier builds: output of deleted sources would otherwise be packed. */
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
