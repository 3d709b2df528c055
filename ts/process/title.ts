/** What `ps` shows: `monoceros: arbiter [name]`, `monoceros: worker [name]`. */

import { native } from '../native/index.ts'

/** The title of one process of the instance. */
export function processTitle(role: 'arbiter' | 'worker', name: string): string {
  return `monoceros: ${role} [${name}]`
}

/** Names this process. Node alone cuts the title to the room that its arguments had at the start. */
export function setTitle(title: string): void {
  if (native === null) process.title = title
  else native.setTitle(title)
}
