/** What `ps` shows: `monoceros: arbiter [name] 4 workers, 9 in flight`, `monoceros: worker [name] serving, 2 in flight`. */

import { native } from '../native/index.ts'

/** The title of one process of the instance, with its live figures if there are any. */
export function processTitle(role: 'arbiter' | 'worker', name: string, figures = ''): string {
  return `monoceros: ${role} [${name}]${figures === '' ? '' : ` ${figures}`}`
}

/** Names this process. Node alone cuts the title to the room that its arguments had at the start. */
export function setTitle(title: string): void {
  if (native === null) process.title = title
  else native.setTitle(title)
}
