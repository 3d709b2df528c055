/** The kernel's queue of connections that nobody has accepted yet. */
import { readFileSync } from 'node:fs'

const SOMAXCONN_PATH = '/proc/sys/net/core/somaxconn'

/** What is to be said of a `backlog` that the system does not give. */
export function backlogWarning(
  backlog: number,
  read: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): string | undefined {
  let most: number
  try {
    most = Number.parseInt(read(SOMAXCONN_PATH), 10)
  } catch {
    // Not Linux: nobody says how many.
    return undefined
  }
  if (!(backlog > most)) return undefined
  return `backlog=${backlog} is more than the system gives: net.core.somaxconn=${most} holds`
}
