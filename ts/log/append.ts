/** Opens the file of a log. A FIFO that nobody reads yet, or any more, holds up nobody. */

import { closeSync, constants, openSync, statSync } from 'node:fs'

/** Opens for appending; a file that is not there is made. */
export function openForAppending(path: string): number {
  const reader = openReadEnd(path)
  try {
    return openSync(path, 'a', 0o644)
  } finally {
    if (reader !== undefined) closeSync(reader)
  }
}

export function isFifo(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFIFO() === true
}

// open(2) of a FIFO's writing end waits for a reader, and this thread with it: no signal would be heard. So this process
// is a reader itself for that moment, for which it need not wait; afterwards lines are lost as in any pipe without one.
function openReadEnd(path: string): number | undefined {
  try {
    return isFifo(path) ? openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) : undefined
  } catch {
    // It may be written and not read: then its reader is waited for.
    return undefined
  }
}
