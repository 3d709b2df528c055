// Other versions of Node, as the npm package `node` brings them, in a folder of their own.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from '../scripts/command.ts'

export interface NodeBinary {
  readonly path: string
  /** As it says itself: `v24.21.0`. */
  readonly version: string
}

/** The Node of a path, or of a version that is installed on demand. */
export async function findNode(wanted: string): Promise<NodeBinary> {
  const path = wanted.includes('/') ? wanted : await installNode(wanted)
  const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim()
  return { path, version }
}

async function installNode(version: string): Promise<string> {
  const folder = join(ROOT, 'bench', '.nodes', version)
  const path = join(folder, 'node_modules', 'node', 'bin', 'node')
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  console.log(`installing node@${version} into bench/.nodes`)
  // Its install script is what puts the binary in its place.
  const args = ['install', '--no-audit', '--no-fund', '--loglevel', 'error', `node@${version}`]
  const { status, output } = await run('npm', args, { cwd: folder, show: false })
  if (status !== 0 || !existsSync(path)) throw new Error(`node@${version}: ${output}`)
  return path
}
