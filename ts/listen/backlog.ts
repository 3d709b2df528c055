/** The kernel's queue of connections that are not accepted yet. */
import { readFileSync } from 'node:fs'

const SOMAXCONN_PATH = '/proc/sys/net/core/somaxconn'

/** Returns a warning if the system does not grant the setting `backlog`, else undefined. */
export function checkBacklog(
  backlog: number,
  read: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): string | undefined {
  let limit: number
  try {
    limit = Number.parseInt(read(SOMAXCONN_PATH), 10)
  } catch {
    // Not Linux: the limit is unknown.
    return undefined
  }
  if (!(backlog > limit)) return undefined
  return `backlog=${backlog} exceeds the limit of the system: net.core.somaxconn=${limit}`
}
