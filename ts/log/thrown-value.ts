/**
 * Text of a value that an application has thrown: message and stack, without the frames of this
 * program.
 */

import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'

// A frame of an ES module names a URL, and one of CommonJS names a path. The directory is ts/ or
// dist/.
const OWN_URL = new URL('../', import.meta.url).href
const OWN_PATH = fileURLToPath(OWN_URL)

/**
 * Returns the error as Node would print it, with causes and own properties, and without our frames.
 */
export function describeThrown(thrown: unknown): string {
  return removeOwnFrames(inspectSafely(thrown).split('\n')).join('\n')
}

// Applications throw any value: proxies, errors whose stack is a getter, objects with a custom
// inspect method. A value that cannot be shown must not crash the process that has caught it.
function inspectSafely(thrown: unknown): string {
  try {
    return thrown instanceof Error ? inspect(thrown) : `thrown: ${inspect(thrown)}`
  } catch {
    // Tried again below, without any code of the application.
  }
  try {
    return `thrown: ${inspect(thrown, { customInspect: false, showProxy: true })}`
  } catch {
    return `thrown: a value that cannot be shown (${typeof thrown})`
  }
}

/** Removes the lines that are frames of this program or of Node's internals. */
export function removeOwnFrames(lines: readonly string[]): string[] {
  const kept: string[] = []
  for (const line of lines) {
    if (!isOwnFrame(line)) kept.push(line)
    // The last frame of a stack can open the list of the error's own properties.
    else if (line.endsWith(' {')) kept.push(`${kept.pop() ?? ''} {`)
  }
  return kept
}

function isOwnFrame(line: string): boolean {
  if (!/^\s+at /.test(line)) return false
  return line.includes(OWN_URL) || line.includes(OWN_PATH) || line.includes('node:internal/')
}
