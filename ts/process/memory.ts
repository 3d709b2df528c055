/** What the system says of memory: how much a process has, and whom the kernel has killed for want of it. Linux only. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'

/** The count since the group was made; undefined where nobody counts. */
export function memoryKills(): number | undefined {
  const groups = readText('/proc/self/cgroup') ?? ''
  // Version 2 has one line, `0::/path`; in version 1 memory has a tree of its own.
  const unified = /^0::(.*)$/m.exec(groups)?.[1]
  const legacy = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1]
  const texts = [
    unified === undefined ? undefined : readText(join(ROOT, unified, 'memory.events')),
    // In a container the path is often that of the host, while the group is mounted at the root.
    readText(join(ROOT, 'memory.events')),
    legacy === undefined ? undefined : readText(join(ROOT, 'memory', legacy, 'memory.oom_control')),
    readText(join(ROOT, 'memory/memory.oom_control')),
  ]
  const count = texts
    .map((text) => /^oom_kill (\d+)$/m.exec(text ?? '')?.[1])
    .find((one) => one !== undefined)
  return count === undefined ? undefined : Number(count)
}

/** What a process has in memory; undefined when it has gone or nobody tells. */
export function residentBytes(pid: number): number | undefined {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/status`) ?? '')?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Another system than Linux, the other version of control groups, or a place that is hidden from us.
    return undefined
  }
}
