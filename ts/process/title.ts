/**
 * Process titles in `ps`: `monoceros: arbiter [name] 4 workers, 9 in flight` and `monoceros: worker
 * [name] serving, 2 in flight`.
 */

import { native } from '../native/index.ts'

/** Returns the title of a process, with a status text if there is one. */
export function formatProcessTitle(role: 'arbiter' | 'worker', name: string, status = ''): string {
  return `monoceros: ${role} [${name}]${status === '' ? '' : ` ${status}`}`
}

/**
 * Sets the title of this process. Without the addon, Node cuts it to the space that the arguments
 * had at the start.
 */
export function setTitle(title: string): void {
  if (native === null) process.title = title
  else native.setTitle(title)
}
