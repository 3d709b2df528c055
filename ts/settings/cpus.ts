/**
 * What this process may use of the machine. Processors: the smaller of what the operating system schedules it on and
 * the quota of its control group, which `os.availableParallelism` does not see on every Node that we support. Memory:
 * the limit of its control group.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import {
  CGROUP_ROOT,
  findControlGroups,
  type ReadText,
  readTextIfExists,
} from '../process/control-groups.ts'

/** The number of workers that `auto` means: at least 1. */
export function availableCpus(
  read: ReadText = readTextIfExists,
  parallelism = availableParallelism(),
): number {
  const quota = cpuQuota(read)
  if (quota === undefined) return parallelism
  // Rounded up: with 1.5 processors, two workers use all of it and one never could.
  return Math.max(1, Math.min(parallelism, Math.ceil(quota)))
}

/** Processors granted by the control group (v2, else v1), or undefined when there is no limit. */
export function cpuQuota(read: ReadText = readTextIfExists): number | undefined {
  return least(read, 'cpu', { v2: v2Cpus, v1: v1Cpus })
}

/** Bytes granted by the control group, or undefined when there is no limit. */
export function memoryLimit(read: ReadText = readTextIfExists): number | undefined {
  return least(read, 'memory', {
    v2: (directory) => bytes(read(join(CGROUP_ROOT, directory, 'memory.max'))),
    v1: (directory) => bytes(read(join(CGROUP_ROOT, 'memory', directory, 'memory.limit_in_bytes'))),
  })
}

type Limit = (directory: string, read: ReadText) => number | undefined

function least(
  read: ReadText,
  controller: string,
  { v2, v1 }: { v2: Limit; v1: Limit },
): number | undefined {
  const limits: number[] = []
  for (const { isUnified, path } of findControlGroups(controller, read)) {
    for (const directory of upwards(path)) {
      const limit = isUnified ? v2(directory, read) : v1(directory, read)
      if (limit !== undefined) limits.push(limit)
    }
  }
  return limits.length === 0 ? undefined : Math.min(...limits)
}

// Every level limits those below it. In a container the path may be the host's, which does not exist
// inside; the walk up ends at the root of the mount, where the container's own files are.
function upwards(path: string): string[] {
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
