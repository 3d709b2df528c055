/** What a process uses, as Linux reports it under /proc. */

import { readdirSync, statSync } from 'node:fs'

import { readTextIfExists } from './control-groups.ts'
import { parseKibibytes, parseOpenFileLimits } from './proc-files.ts'

/** Processor time, memory and descriptors of a process. */
export interface ProcessUsage {
  readonly userSeconds: number
  readonly systemSeconds: number
  readonly residentBytes: number
  readonly virtualBytes: number
  readonly openDescriptors: number | undefined
  readonly maxDescriptors: number | undefined
}

/** Reads the usage of a process; undefined if it has exited, or outside Linux. */
export function readProcessUsage(pid: number): ProcessUsage | undefined {
  const stat = readTextIfExists(`/proc/${pid}/stat`)
  // The name of the program, in parentheses, may contain anything. Field 3 follows.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined || fields.length < 22) return undefined
  const status = readTextIfExists(`/proc/${pid}/status`) ?? ''
  const limits = readTextIfExists(`/proc/${pid}/limits`) ?? ''
  const maximum = Number(parseOpenFileLimits(limits).soft)
  return {
    userSeconds: Number(fields[USER_TIME]) / TICKS_PER_SECOND,
    systemSeconds: Number(fields[SYSTEM_TIME]) / TICKS_PER_SECOND,
    residentBytes: parseKibibytes(status, 'VmRSS') ?? 0,
    virtualBytes: parseKibibytes(status, 'VmSize') ?? 0,
    openDescriptors: countDescriptors(pid),
    // NaN: the limit is not known, or there is none.
    maxDescriptors: Number.isNaN(maximum) ? undefined : maximum,
  }
}

function countDescriptors(pid: number): number | undefined {
  const directory = `/proc/${pid}/fd`
  try {
    // Since Linux 6.2 the size of the directory is the number of descriptors.
    return statSync(directory).size || readdirSync(directory).length
  } catch {
    // The process has exited, or belongs to another user.
    return undefined
  }
}

/** Indices of `utime` and `stime` (proc_pid_stat(5)), counted from field 3. */
const USER_TIME = 11
const SYSTEM_TIME = 12
/** USER_HZ, which is 100 on every platform of Linux. */
const TICKS_PER_SECOND = 100
