// Installs the linker of the Linux binaries, zig, with cargo-zigbuild, which passes it to cargo.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from '../command.ts'
import { filesBelow } from '../freshness.ts'

/** cargo-zigbuild 0.24 supports zig 0.17; update both together. */
const PIP_PACKAGES = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.1']
const VENV = join(ROOT, 'target', 'zig')
/** Where cargo finds both programs. */
export const ZIG_BIN = join(VENV, 'bin')

/** Installs both into target/zig; returns the error message if that fails. */
export async function installZig(): Promise<string | undefined> {
  if (existsSync(join(ZIG_BIN, 'cargo-zigbuild'))) return undefined
  const venv = await run('python3', ['-m', 'venv', VENV], { show: false })
  if (venv.status !== 0) return `python3 -m venv failed: ${venv.output.trim()}`
  const args = ['install', '--quiet', ...PIP_PACKAGES]
  const pip = await run(join(ZIG_BIN, 'pip'), args, { show: false })
  return pip.status === 0 ? undefined : `pip could not install zig: ${pip.output.trim()}`
}

/** The files with the licenses of what zig links into a binary. */
export function zigLicenses(): { compilerRuntime: string; unwinder: string } {
  const files = filesBelow(join(VENV, 'lib')).filter((file) => !file.includes('dist-info'))
  const find = (end: string) => files.find((file) => file.endsWith(end)) ?? join(VENV, end)
  return {
    compilerRuntime: find('/ziglang/LICENSE'),
    unwinder: find('/ziglang/lib/libunwind/LICENSE.TXT'),
  }
}
