/**
 * Finds the processors and the memory available to this process. Processors: the number that the
 * operating system schedules it on, at most the quota of its control group. Not every supported
 * Node includes that quota in `os.availableParallelism`. Memory: the limit of its control group.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import {
  CGROUP_ROOT,
  findControlGroups,
  type ReadText,
  readTextIfExists,
} from '../process/control-groups.ts'

/** Returns the number of workers that `auto` means, at least 1. */
export function availableCpus(
  read: ReadText = readTextIfExists,
  parallelism = availableParallelism(),
): number {
  const quota = cpuQuota(read)
  if (quota === undefined) return parallelism
  // Rounded up: one worker cannot use 1.5 processors, two can.
  return Math.max(1, Math.min(parallelism, Math.ceil(quota)))
}

/**
 * Returns the processors that the control group (v2, else v1) grants; undefined without a limit.
 */
export function cpuQuota(read: ReadText = readTextIfExists): number | undefined {
  return lowestLimit(read, 'cpu', { v2: v2Cpus, v1: v1Cpus })
}

/** Returns the bytes of memory that the control group grants; undefined without a limit. */
export function memoryLimit(read: ReadText = readTextIfExists): number | undefined {
  return lowestLimit(read, 'memory', {
    v2: (directory) => bytes(read(join(CGROUP_ROOT, directory, 'memory.max'))),
    v1: (directory) => bytes(read(join(CGROUP_ROOT, 'memory', directory, 'memory.limit_in_bytes'))),
  })
}

/** Reads the limit of a control group from its directory; undefined without a limit. */
type ReadLimit = (directory: string, read: ReadText) => number | undefined

function lowestLimit(
  read: ReadText,
  controller: string,
  { v2, v1 }: { v2: ReadLimit; v1: ReadLimit },
): number | undefined {
  const limits: number[] = []
  for (const { isUnified, path } of findControlGroups(controller, read)) {
    for (const directory of withAncestors(path)) {
      const limit = isUnified ? v2(directory, read) : v1(directory, read)
      if (limit !== undefined) limits.push(limit)
    }
  }
  return limits.length === 0 ? undefined : Math.min(...limits)
}

// Returns the directory and its ancestors. Every level limits the levels below it. In a container,
// the path may be the path on the host, which does not exist inside the container. The files of the
// container are then at the root of the mount.
function withAncestors(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '')
  return [...names.keys(), names.length].map((depth) => names.slice(0, depth).join('/'))
}

function v2Cpus(directory: string, read: ReadText): number | undefined {
  const [quota, period] = (read(join(CGROUP_ROOT, directory, 'cpu.max')) ?? '').trim().split(/\s+/)
  return ratio(quota, period)
}

function v1Cpus(directory: string, read: ReadText): number | undefined {
  for (const mount of ['cpu', 'cpu,cpuacct']) {
    const quota = read(join(CGROUP_ROOT, mount, directory, 'cpu.cfs_quota_us'))
    const period = read(join(CGROUP_ROOT, mount, directory, 'cpu.cfs_period_us'))
    const limit = ratio(quota, period)
    if (limit !== undefined) return limit
  }
  return undefined
}

// "max" (v2) and -1 (v1) mean no limit.
function ratio(quota: string | undefined, period: string | undefined): number | undefined {
  const cpus = Number(quota) / Number(period)
  return Number.isFinite(cpus) && cpus > 0 ? cpus : undefined
}

// "max" (v2) and a number near 2^63 (v1) mean no limit.
function bytes(text: string | undefined): number | undefined {
  const limit = Number(text?.trim() || Number.NaN)
  return limit > 0 && limit < Number.MAX_SAFE_INTEGER ? limit : undefined
}
