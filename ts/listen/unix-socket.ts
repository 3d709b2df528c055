/** What the sockets of `bind` and the control socket do alike with files in the file system. */

import { connect } from 'node:net'

import { errorCode } from '../process/system.ts'

/**
 * Returns whether a process listens at a path. Of the errors, `alsoIf` has those that a process
 * that listens can cause: EAGAIN if its queue is full, EACCES if it belongs to another user.
 */
export function isListening(path: string, alsoIf: readonly string[]): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(path)
    const end = (answer: boolean) => {
      probe.destroy()
      done(answer)
    }
    probe.on('connect', () => end(true))
    probe.on('error', (error) => end(alsoIf.includes(errorCode(error) ?? '')))
  })
}

/** Binds with a umask. It belongs to the process, so it is set for this call alone. */
export function bindWithUmask<T>(umask: number, bind: () => T): T {
  const before = process.umask(umask)
  try {
    return bind()
  } finally {
    process.umask(before)
  }
}
