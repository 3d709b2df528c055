/** Collects what the checks of `monoceros doctor` look at: files of the kernel, settings, user. */

import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { tmpdir, totalmem } from 'node:os'
import { dirname, resolve } from 'node:path'

import { createControlDirectory, listControlDirectories } from '../control/directory.ts'
import { nativeFailure } from '../native/index.ts'
import { type ReadText, readTextIfExists } from '../process/control-groups.ts'
import { parseKibibytes, parseOpenFileLimits } from '../process/proc-files.ts'
import { currentDate } from '../process/system.ts'
import type { Config } from '../settings/config.ts'
import { availableCpus, cpuQuota, memoryLimit } from '../settings/cpus.ts'

/** A path that the server writes to. */
export interface Place {
  /** Name of the setting, or what the path is for. */
  readonly name: string
  readonly path: string
  /** Why it cannot be written. */
  readonly problem?: string
}

/** Everything that the checks look at. Undefined means that the system does not report it. */
export interface Facts {
  readonly nodeVersion: string
  readonly engineFailure: string | undefined
  readonly nodeEnv: string | undefined
  readonly settings: Pick<Config, 'backlog' | 'bind' | 'keepalive' | 'workers'>
  readonly settingsError: string | undefined
  readonly maxOpenFiles: number | undefined
  readonly somaxconn: number | undefined
  readonly processorCount: number
  readonly cpuQuota: number | undefined
  readonly memoryLimit: number | undefined
  readonly totalMemory: number
  readonly swapTotal: number | undefined
  readonly swapUsed: number | undefined
  /** `always`, `madvise` or `never`. */
  readonly hugePages: string | undefined
  readonly isContainer: boolean
  /** Name of process 1. */
  readonly initName: string | undefined
  readonly firstUnprivilegedPort: number
  readonly canBindPrivileged: boolean
  readonly places: readonly Place[]
  readonly clockSource: string | undefined
  readonly year: number
}

/** The settings to check, which are the defaults if those given are invalid. */
export interface CheckedSettings {
  readonly config: Config
  readonly error: string | undefined
}

const DEFAULT_FIRST_UNPRIVILEGED_PORT = 1_024
/** Number of the capability CAP_NET_BIND_SERVICE (capabilities(7)). */
const CAP_NET_BIND_SERVICE = 10n

/** Collects the facts of this machine and this process. */
export function collectFacts(
  { config, error }: CheckedSettings,
  env: NodeJS.ProcessEnv,
  read: ReadText = readTextIfExists,
): Facts {
  const meminfo = read('/proc/meminfo') ?? ''
  const swapTotal = parseKibibytes(meminfo, 'SwapTotal')
  const swapFree = parseKibibytes(meminfo, 'SwapFree')
  return {
    nodeVersion: process.versions.node,
    engineFailure: nativeFailure,
    nodeEnv: env.NODE_ENV,
    settings: config,
    settingsError: error,
    maxOpenFiles: readOpenFiles(read('/proc/self/limits')),
    somaxconn: readNumber(read('/proc/sys/net/core/somaxconn')),
    processorCount: availableCpus(read),
    cpuQuota: cpuQuota(read),
    memoryLimit: memoryLimit(read),
    totalMemory: totalmem(),
    swapTotal,
    swapUsed: swapTotal === undefined ? undefined : swapTotal - (swapFree ?? 0),
    hugePages: /\[(\w+)\]/.exec(read('/sys/kernel/mm/transparent_hugepage/enabled') ?? '')?.[1],
    isContainer: isContainer(read),
    initName: readInitName(read),
    firstUnprivilegedPort:
      readNumber(read('/proc/sys/net/ipv4/ip_unprivileged_port_start')) ??
      DEFAULT_FIRST_UNPRIVILEGED_PORT,
    canBindPrivileged: canBindPrivileged(read),
    places: listPlaces(config, env),
    clockSource: read(CLOCK_SOURCE)?.trim(),
    year: currentDate().getFullYear(),
  }
}

const CLOCK_SOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource'

// Files that container runtimes create, and words in the control group of process 1.
function isContainer(read: ReadText): boolean {
  if (existsSync('/.dockerenv') || existsSync('/run/.containerenv')) return true
  return /docker|kubepods|containerd|lxc/.test(read('/proc/1/cgroup') ?? '')
}

function readInitName(read: ReadText): string | undefined {
  // The arbiter's title replaces the command line.
  const words = read('/proc/1/cmdline')?.split(/[\0 ]/) ?? []
  const name = words[0]?.split('/').pop()?.replace(/:$/, '')
  return name === undefined || name === '' ? read('/proc/1/comm')?.trim() : name
}

function canBindPrivileged(read: ReadText): boolean {
  const set = /^CapEff:\s+([\da-f]+)/m.exec(read('/proc/self/status') ?? '')?.[1]
  if (set === undefined) return process.getuid?.() === 0
  return ((BigInt(`0x${set}`) >> CAP_NET_BIND_SERVICE) & 1n) === 1n
}

function readOpenFiles(limits: string | undefined): number | undefined {
  const { soft } = parseOpenFileLimits(limits ?? '')
  if (soft === undefined) return undefined
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}

function readNumber(text: string | undefined): number | undefined {
  const number = Number.parseInt(text ?? '', 10)
  return Number.isNaN(number) ? undefined : number
}

function listPlaces(config: Config, env: NodeJS.ProcessEnv): Place[] {
  const { errorlog, accesslog, pidfile, chdir } = config
  const files = Object.entries({ errorlog, accesslog, pidfile }).flatMap(([name, path]) => {
    return path === null || path === '-' ? [] : [checkFile(name, resolve(chdir, path))]
  })
  const sockets = config.bind.flatMap((bind) => {
    const path = /^unix:(?:\/\/)?([^@].*)/.exec(bind)?.[1]
    return path === undefined ? [] : [checkFile('bind', resolve(chdir, path))]
  })
  return [
    ...files,
    ...sockets,
    checkFile('temporary files', resolve(tmpdir(), 'x'), tmpdir()),
    ...checkControlSocket(config, env),
  ]
}

function checkControlSocket(
  { control_socket: path, control_socket_disable: isOff, chdir }: Config,
  env: NodeJS.ProcessEnv,
): Place[] {
  if (isOff) return []
  if (path !== null) return [checkFile('control_socket', resolve(chdir, path))]
  const name = 'control socket'
  let place: Place = { name, path: '', problem: 'there is no directory' }
  for (const directory of listControlDirectories(env)) {
    try {
      createControlDirectory(directory)
      return [{ name, path: directory }]
    } catch (error) {
      place = { name, path: directory, problem: errorText(error) }
    }
  }
  return [place]
}

/** Checks a file that is written, or its directory if it does not exist. */
function checkFile(name: string, path: string, shown = path): Place {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats?.isDirectory() === true) return { name, path: shown, problem: 'it is a directory' }
    if (stats === undefined) accessSync(dirname(path), constants.W_OK | constants.X_OK)
    else accessSync(path, constants.W_OK)
    return { name, path: shown }
  } catch (error) {
    return { name, path: shown, problem: errorText(error) }
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
