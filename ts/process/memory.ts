/** What the system says of memory: how much a process has, and whom the kernel has killed for want of it. Linux only. */

import { join } from 'node:path'
import {
  CGROUP_ROOT,
  findControlGroups,
  type ReadText,
  readTextIfExists,
} from './control-groups.ts'

/**
 * The count since the group was made; undefined where nobody counts. The kernel counts at the group of whom it kills,
 * whichever level's limit was met, so that only our own is looked at.
 */
export function countOomKills(read: ReadText = readTextIfExists): number | undefined {
  const files = findControlGroups('memory', read).flatMap(({ isUnified, path }) =>
    // In a container the path is often that of the host, while the group is mounted at the root.
    isUnified
      ? [join(CGROUP_ROOT, path, 'memory.events'), join(CGROUP_ROOT, 'memory.events')]
      : [join(CGROUP_ROOT, 'memory', path, OOM_CONTROL), join(CGROUP_ROOT, 'memory', OOM_CONTROL)],
  )
  const count = files
    .map((file) => /^oom_kill (\d+)$/m.exec(read(file) ?? '')?.[1])
    .find((one) => one !== undefined)
  return count === undefined ? undefined : Number(count)
}

const OOM_CONTROL = 'memory.oom_control'

/** What a process has in memory; undefined when it has gone or nobody tells. */
export function residentBytes(pid: number): number | undefined {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readTextIfExists(`/proc/${pid}/status`) ?? '')?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}
