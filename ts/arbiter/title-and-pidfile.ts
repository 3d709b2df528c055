/**
 * What an arbiter is found by: its title in `ps`, its pidfile and its control socket. While the
 * arbiter that started this one is running, the names end in `.2`.
 */

import { resolve } from 'node:path'

import { formatProcessTitle } from '../process/title.ts'
import type { Config } from '../settings/config.ts'
import type { ControlSocket } from './control-socket.ts'
import type { Pidfile } from './pidfile.ts'
import { getInstanceName } from './spawn.ts'

/** Functions that set the title and write the pidfile. */
export interface TitleAndPidfileDependencies {
  readonly setTitle: (title: string) => void
  /** Takes an absolute path, because a reload may change `chdir`. */
  readonly createPidfile: (path: string) => Pidfile
  /** The control socket, which is open already if the settings want it. */
  readonly controlSocket?: Pick<ControlSocket, 'applySettings' | 'dropSuccessorSuffix' | 'close'>
}

const SUCCESSOR_SUFFIX = '.2'

/** Keeps title and pidfile in agreement with the settings. */
export class TitleAndPidfile {
  readonly #dependencies: TitleAndPidfileDependencies
  #suffix: string
  #name = ''
  #title = ''
  #pidfile: { readonly path: string; readonly file: Pidfile } | undefined

  constructor(
    dependencies: TitleAndPidfileDependencies,
    { isSuccessor }: { isSuccessor: boolean },
  ) {
    this.#dependencies = dependencies
    this.#suffix = isSuccessor ? SUCCESSOR_SUFFIX : ''
  }

  /** Shows the name of the settings in the title and writes their pidfile. */
  applySettings(config: Config): void {
    this.#name = getInstanceName(config)
    this.showStatus('')
    this.#dependencies.controlSocket?.applySettings(config)
    const path = config.pidfile === null ? undefined : resolve(config.chdir, config.pidfile)
    if (path === this.#pidfile?.path) return
    const file =
      path === undefined ? undefined : this.#dependencies.createPidfile(path + this.#suffix)
    this.#pidfile?.file.remove()
    this.#pidfile = path === undefined || file === undefined ? undefined : { path, file }
  }

  /** Shows a status text after the name: `3 workers, 17 in flight`. */
  showStatus(status: string): void {
    const title = formatProcessTitle('arbiter', this.#name + this.#suffix, status)
    if (title === this.#title) return
    this.#title = title
    this.#dependencies.setTitle(title)
  }

  /** Takes the plain names, which are free since the older arbiter has exited. */
  dropSuccessorSuffix(): void {
    this.#suffix = ''
    this.showStatus('')
    this.#dependencies.controlSocket?.dropSuccessorSuffix()
    if (this.#pidfile !== undefined) this.#pidfile.file.rename(this.#pidfile.path)
  }

  /** Gives the names up, so that another arbiter can take them. */
  remove(): void {
    this.#pidfile?.file.remove()
    this.#dependencies.controlSocket?.close()
  }
}
