// Which processor does what: servers have one for themselves, the load generator has another.

import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

export const SERVER_CPU = 0
export const LOAD_CPU = 1

/**
 * Linux counts processor time in ticks of this many microseconds for every program that asks
 * (USER_HZ is 100).
 */
const TICK_US = 10_000

/** The command that runs another one on one processor, or on all. */
export function pinned(cpu: number | null, command: readonly string[]): string[] {
  return cpu === null ? [...command] : ['taskset', '-c', `${cpu}`, ...command]
}

/** Why this machine cannot measure, or nothing if it can. */
export function machineObstacle(): string | undefined {
  if (process.platform !== 'linux')
    return 'the bench reads /proc and pins by taskset: it needs Linux'
  if (availableParallelism() < 2) return 'the bench needs two processors'
  return undefined
}

/** The processor time that a process and all its threads have used, in microseconds. */
export function processorTimeUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in brackets, may hold spaces and brackets; what follows the last one starts with
  // field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_US
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

/** The processes that a process has started and that still run. */
export function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.split(' ').filter(Boolean).map(Number)
}
