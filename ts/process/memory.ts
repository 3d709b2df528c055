/**
 * Memory of processes as Linux reports it: the resident size, and kills by the out-of-memory
 * killer.
 */

import { join } from 'node:path'
import {
  CGROUP_ROOT,
  findControlGroups,
  type ReadText,
  readTextIfExists,
} from './control-groups.ts'
import { parseKibibytes } from './proc-files.ts'

/**
 * Returns how many processes of this control group the kernel has killed for lack of memory since
 * the group was created. Undefined where the kernel does not count. It counts in the group of the
 * killed process, whichever level's limit was exceeded, so this reads only our own group.
 */
export function countOomKills(read: ReadText = readTextIfExists): number | undefined {
  const files = findControlGroups('memory', read).flatMap(({ isUnified, path }) =>
    // Inside a container the path is often that of the host, while the group is mounted at the
    // root.
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

/** Returns the resident memory of a process; undefined if it has exited, or outside Linux. */
export function readResidentBytes(pid: number): number | undefined {
  return parseKibibytes(readTextIfExists(`/proc/${pid}/status`) ?? '', 'VmRSS')
}
