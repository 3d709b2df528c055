/**
 * How the arbiter is known to others: its title in `ps` and its pidfile. While it stands beside the arbiter that
 * started it, both end in `.2`; after that one's end they are renamed.
 */

import { resolve } from 'node:path'

import { processTitle } from '../process/title.ts'
import type { Config } from '../settings/config.ts'
import type { Pidfile } from './pidfile.ts'
import { instanceName } from './spawn.ts'

export interface TitleAndPidfileDependencies {
  readonly setTitle: (title: string) => void
  /** With a whole path: `chdir` may be another after a reload. */
  readonly createPidfile: (path: string) => Pidfile
}

const SUCCESSOR_SUFFIX = '.2'

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

  /** Takes on the name and the pidfile of the settings. */
  applySettings(config: Config): void {
    this.#name = instanceName(config)
    this.showStatus('')
    const path = config.pidfile === null ? undefined : resolve(config.chdir, config.pidfile)
    if (path === this.#pidfile?.path) return
    const file =
      path === undefined ? undefined : this.#dependencies.createPidfile(path + this.#suffix)
    this.#pidfile?.file.remove()
    this.#pidfile = path === undefined || file === undefined ? undefined : { path, file }
  }

  /** What the title says beside the name: `3 workers, 17 in flight`. */
  showStatus(figures: string): void {
    const title = processTitle('arbiter', this.#name + this.#suffix, figures)
    if (title === this.#title) return
    this.#title = title
    this.#dependencies.setTitle(title)
  }

  /** The arbiter before this one has gone: its names are free. */
  dropSuccessorSuffix(): void {
    this.#suffix = ''
    this.showStatus('')
    if (this.#pidfile !== undefined) this.#pidfile.file.rename(this.#pidfile.path)
  }

  removePidfile(): void {
    this.#pidfile?.file.remove()
  }
}
