/** How something thrown by an application is shown: its message and stack, without the frames of this program. */

import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'

// Both forms: a frame of an ES module names a URL, one of CommonJS a path. The directory is ts/ or dist/.
const OWN_URL = new URL('../', import.meta.url).href
const OWN_PATH = fileURLToPath(OWN_URL)

/** The whole error as node would print it, causes and own properties included, without our frames. */
export function describeThrown(thrown: unknown): string {
  return removeOwnFrames(inspectSafely(thrown).split('\n')).join('\n')
}

// Programs throw whatever they like: proxies, errors whose stack is a getter, objects with an inspection of their own.
// Who cannot be shown must not end the process that has caught it.
function inspectSafely(thrown: unknown): string {
  try {
    return thrown instanceof Error ? inspect(thrown) : `thrown: ${inspect(thrown)}`
  } catch {
    // Once more, without any code of the program's.
  }
  try {
    return `thrown: ${inspect(thrown, { customInspect: false, showProxy: true })}`
  } catch {
    return `thrown: a value that cannot be shown (${typeof thrown})`
  }
}

/** The lines that are not frames of this program or of node's inside. */
export function removeOwnFrames(lines: readonly string[]): string[] {
  const kept: string[] = []
  for (const line of lines) {
    if (!isOwnFrame(line)) kept.push(line)
    // The last frame opens the error's own properties.
    else if (line.endsWith(' {')) kept.push(`${kept.pop() ?? ''} {`)
  }
  return kept
}

function isOwnFrame(line: string): boolean {
  if (!/^\s+at /.test(line)) return false
  return line.includes(OWN_URL) || line.includes(OWN_PATH) || line.includes('node:internal/')
}
