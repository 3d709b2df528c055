// `npm run build:prebuilt [-- NAME...]`: builds the binaries of the platform packages into
// npm/<platform>/, all that this machine can build or the named ones (`linux-x64-musl`). zig is
// the linker for the four Linux targets. It comes from PyPI, selects the version of the C library,
// and needs no toolchain of the distribution. (`napi build --use-napi-cross` supports two of the
// targets, but the package that unpacks its archives does not install on Node 20.)

import { existsSync, readFileSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { cargoObstacle } from './build.ts'
import { isMain, ROOT, run, runBin } from './command.ts'

/** Newest glibc that a binary may require: that of RHEL 7, older than Node 20 itself requires. */
const GLIBC = '2.17'
/** cargo-zigbuild 0.24 supports zig 0.17; update both together. */
const PIP_PACKAGES = ['ziglang==0.17.*', 'cargo-zigbuild==0.24.*']
const VENV = join(ROOT, 'target', 'zig')

interface Platform {
  /** Name of the folder in npm/. */
  readonly name: string
  /** Rust target triple. */
  readonly triple: string
  /** Target for cargo-zigbuild if it differs from the triple: with the version of glibc. */
  readonly target?: string
}

const LINUX: readonly Platform[] = [
  platform('linux-x64-gnu', 'x86_64-unknown-linux-gnu', GLIBC),
  platform('linux-arm64-gnu', 'aarch64-unknown-linux-gnu', GLIBC),
  platform('linux-x64-musl', 'x86_64-unknown-linux-musl'),
  platform('linux-arm64-musl', 'aarch64-unknown-linux-musl'),
]
/** Platforms that need macOS: the license of Apple's SDK permits only Apple's machines. */
const MACOS_PLATFORMS = ['darwin-x64', 'darwin-arm64']

function platform(name: string, triple: string, glibc?: string): Platform {
  return glibc === undefined ? { name, triple } : { name, triple, target: `${triple}.${glibc}` }
}

/** Installs zig and cargo-zigbuild into target/zig; returns the error message if that fails. */
async function installTools(): Promise<string | undefined> {
  const bin = join(VENV, 'bin')
  if (existsSync(join(bin, 'cargo-zigbuild'))) return undefined
  const venv = await run('python3', ['-m', 'venv', VENV], { show: false })
  if (venv.status !== 0) return `python3 -m venv failed: ${venv.output.trim()}`
  const pip = await run(join(bin, 'pip'), ['install', '--quiet', ...PIP_PACKAGES], { show: false })
  return pip.status === 0 ? undefined : `pip could not install zig: ${pip.output.trim()}`
}

/** Builds one binary; returns the error message if that fails. */
async function buildPlatform({ name, triple, target }: Platform): Promise<string | undefined> {
  const rustup = await run('rustup', ['target', 'add', triple], { show: false })
  if (rustup.status !== 0) return `rustup target add ${triple}: ${rustup.output.trim()}`
  const env = { ...process.env, PATH: `${join(VENV, 'bin')}${delimiter}${process.env.PATH}` }
  const { status } = await runBin(
    'napi',
    [
      ...['build', '--platform', '--release', '--cross-compile', '--target', target ?? triple],
      ...['--output-dir', `npm/${name}`, '--no-js', '--dts', '../../target/prebuilt.d.cts'],
    ],
    { env },
  )
  return status === 0 ? undefined : 'the build failed, see above'
}

/** Finds the newest version of glibc whose symbols a binary requires. */
export function newestGlibc(binary: Buffer): string | undefined {
  const versions = [...binary.toString('latin1').matchAll(/GLIBC_2\.(\d+)/g)].map((match) =>
    Number(match[1]),
  )
  return versions.length === 0 ? undefined : `2.${Math.max(...versions)}`
}

function describeBinary({ name, target }: Platform): string {
  const path = join(ROOT, 'npm', name, `monoceros.${name}.node`)
  const size = `${(statSync(path).size / 2 ** 20).toFixed(1)} MiB`
  const glibc = newestGlibc(readFileSync(path))
  if (target === undefined) return size
  const isOldEnough = Number(glibc?.slice(2)) <= Number(GLIBC.slice(2))
  return `${size}, glibc ${glibc}${isOldEnough ? '' : `, NEWER THAN ${GLIBC}`}`
}

async function buildAll(wanted: readonly string[]): Promise<void> {
  const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name)
  const obstacle = (await cargoObstacle()) ?? (await installTools())
  const lines: string[] = []
  for (const each of LINUX.filter(({ name }) => isWanted(name))) {
    const problem = obstacle ?? (await buildPlatform(each))
    if (problem !== undefined) process.exitCode = 1
    lines.push(
      `${each.name}: ${problem === undefined ? describeBinary(each) : `NOT BUILT, ${problem}`}`,
    )
  }
  for (const name of MACOS_PLATFORMS.filter(isWanted)) {
    lines.push(`${name}: not built here, needs macOS (.github/workflows/prebuilt.yml)`)
  }
  console.log(lines.join('\n'))
}

if (isMain(import.meta.url)) await buildAll(process.argv.slice(2))
