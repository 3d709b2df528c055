// Reads from a server's log when its workers are ready, and where it listens.

import type { ChildProcess } from 'node:child_process'

/** What a server has printed on standard error, at log level `debug`. */
export class ServerLog {
  readonly child: ChildProcess
  #text = ''

  constructor(child: ChildProcess) {
    this.child = child
    child.stderr?.on('data', (text: Buffer) => {
      this.#text += text
    })
  }

  /** Waits until this many workers have been ready since the start, for at most a minute. */
  untilReady(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.#text.split('Worker ready').length <= count) return
        clearTimeout(late)
        this.child.stderr?.off('data', check)
        resolve()
      }
      const late = setTimeout(() => reject(new Error(`not ready:\n${this.#text}`)), LIMIT_MS)
      this.child.stderr?.on('data', check)
      this.child.once('exit', () => reject(new Error(`exited:\n${this.#text}`)))
      check()
    })
  }

  port(): number {
    return Number(/Listening at: http:\/\/127\.0\.0\.1:(\d+)/.exec(this.#text)?.[1])
  }
}

const LIMIT_MS = 60_000
