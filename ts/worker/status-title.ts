/** The title of a worker in `ps`: `monoceros: worker [name] serving, 2 in flight`. */

import { formatProcessTitle, setTitle } from '../process/title.ts'
import type { LifecycleState } from './states.ts'

const STATE_NAMES: Readonly<Record<LifecycleState, string>> = {
  booting: 'booting',
  starting: 'booting',
  serving: 'serving',
  draining: 'draining',
  exiting: 'gone',
  failing: 'gone',
  gone: 'gone',
}

/** The process title, which is set only when it changes. */
export class StatusTitle {
  #title = ''

  /**
   * Sets the title if it has changed; `busy` is the number of connections with a request in flight.
   */
  show(name: string, state: LifecycleState, busy: number): void {
    const title = formatProcessTitle('worker', name, `${STATE_NAMES[state]}, ${busy} in flight`)
    if (title === this.#title) return
    this.#title = title
    setTitle(title)
  }
}
