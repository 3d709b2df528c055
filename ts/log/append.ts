/** Opens log files for appending. A FIFO without a reader does not block the process. */

import { closeSync, constants, openSync, statSync } from 'node:fs'

/** Opens a file for appending, and creates it if it does not exist. */
export function openForAppending(path: string): number {
  const reader = openReadEnd(path)
  try {
    return openSync(path, 'a', 0o644)
  } finally {
    if (reader !== undefined) closeSync(reader)
  }
}

/** Returns whether a path is a FIFO. */
export function isFifo(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFIFO() === true
}

// open(2) of the writing end of a FIFO blocks this thread, signals included, until there is a
// reader. This process therefore opens the reading end for that moment, which does not block. Later
// lines are lost without a reader, as in any pipe.
function openReadEnd(path: string): number | undefined {
  try {
    return isFifo(path) ? openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) : undefined
  } catch {
    // The FIFO can be written but not read: then open(2) waits for its reader.
    return undefined
  }
}
