// Other versions of Node, as the npm package `node` brings them, in a folder of their own.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from '../scripts/command.ts'

export interface NodeBinary {
  readonly path: string
  /** The version as the binary prints it: `v24.21.0`. */
  readonly version: string
}

/** The Node of a path, or of a version that is installed on demand. */
export async function findNode(wanted: string): Promise<NodeBinary> {
  const path = wanted.includes('/') ? wanted : await installNode(wanted)
  const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim()
  return { path, version }
}

/** Bun, as its npm package for this platform brings it. */
export async function findBun(): Promise<string> {
  const platform = `@oven/bun-${process.platform}-${process.arch}`
  return await install('bun', platform, join('node_modules', platform, 'bin', 'bun'))
}

async function installNode(version: string): Promise<string> {
  return await install(version, `node@${version}`, join('node_modules', 'node', 'bin', 'node'))
}

/**
 * Installs a package into a folder of its own, if it is not there, and returns where its binary is.
 */
async function install(name: string, wanted: string, binary: string): Promise<string> {
  const folder = join(ROOT, 'bench', '.nodes', name)
  const path = join(folder, binary)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  console.log(`installing ${wanted} into bench/.nodes`)
  // Its install script is what puts the binary in its place.
  const args = ['install', '--no-audit', '--no-fund', '--loglevel', 'error', wanted]
  const { status, output } = await run('npm', args, { cwd: folder, show: false })
  if (status !== 0 || !existsSync(path)) throw new Error(`${wanted}: ${output}`)
  return path
}
