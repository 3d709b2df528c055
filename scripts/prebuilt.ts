// `npm run build:prebuilt [-- NAME...]`: builds the binaries of the platform packages into
// npm/<platform>/, all that this machine can build or the named ones (`linux-x64-musl`), and fails
// if one requires more than its systems have. zig is the linker for other systems than this one. It
// comes from PyPI, selects the version of the C library, and needs no toolchain of the
// distribution. (`napi build --use-napi-cross` supports two of the targets, but the package that
// unpacks its archives does not install on Node 20.)

import { readFileSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { cargoObstacle } from './build.ts'
import { isMain, ROOT, run, runBin } from './command.ts'
import { findFaults, newestGlibc, readRequirements } from './release/binary.ts'
import { binaryName, GLIBC, MACOS, type Platform, platformsNamed } from './release/platforms.ts'
import { installZig, ZIG_BIN } from './release/zig.ts'

/**
 * Elsewhere than on macOS, zig links the macOS binaries with its own libc stubs. Such a binary
 * proves that the code compiles; a release takes those that a Mac has built and tested.
 */
const isMac = process.platform === 'darwin'

/** Builds one binary; returns the error message if that fails. */
async function buildPlatform(platform: Platform): Promise<string | undefined> {
  const { name, triple, system } = platform
  const isNative = isMac && system === 'macos'
  const obstacle = isNative ? undefined : await installZig()
  if (obstacle !== undefined) return obstacle
  const rustup = await run('rustup', ['target', 'add', triple], { show: false })
  if (rustup.status !== 0) return `rustup target add ${triple}: ${rustup.output.trim()}`
  const env = {
    ...process.env,
    PATH: `${ZIG_BIN}${delimiter}${process.env.PATH}`,
    MACOSX_DEPLOYMENT_TARGET: MACOS,
  }
  const target = system === 'glibc' ? `${triple}.${GLIBC}` : triple
  const { status } = await runBin(
    'napi',
    [
      ...['build', '--platform', '--release', ...(isNative ? [] : ['--cross-compile'])],
      ...['--target', target, '--output-dir', `npm/${name}`],
      ...['--no-js', '--dts', '../../target/prebuilt.d.cts'],
    ],
    { env },
  )
  if (status !== 0) return 'the build failed, see above'
  const faults = findFaults(readBinary(platform), platform)
  return faults.length === 0 ? undefined : faults.join('; ')
}

function readBinary(platform: Platform): Buffer {
  return readFileSync(join(ROOT, 'npm', platform.name, binaryName(platform)))
}

function describeBinary(platform: Platform): string {
  const path = join(ROOT, 'npm', platform.name, binaryName(platform))
  const { versions, macos } = readRequirements(readBinary(platform))
  const glibc = newestGlibc(versions)
  const size = `${(statSync(path).size / 2 ** 20).toFixed(1)} MiB`
  if (glibc !== undefined) return `${size}, glibc ${glibc}`
  return macos === undefined ? size : `${size}, macOS ${macos}`
}

async function buildAll(names: readonly string[]): Promise<void> {
  const obstacle = await cargoObstacle()
  const lines: string[] = []
  for (const platform of platformsNamed(names)) {
    const problem = obstacle ?? (await buildPlatform(platform))
    if (problem !== undefined) process.exitCode = 1
    const result = problem === undefined ? describeBinary(platform) : `FAILED, ${problem}`
    lines.push(`${platform.name}: ${result}`)
  }
  console.log(lines.join('\n'))
}

if (isMain(import.meta.url)) await buildAll(process.argv.slice(2))
