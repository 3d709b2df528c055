/**
 * The file of a control socket. A file that a dead process has left is replaced, one that a process
 * listens on never.
 */

import { chmodSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:net'

import { systemError } from '../errors.ts'
import { bindWithUmask, isListening } from '../listen/unix-socket.ts'
import { linkIfFree } from '../process/link-file.ts'
import { errorCode, processId } from '../process/system.ts'

/** sizeof(sun_path) on Linux without the final NUL. */
const MAX_PATH_BYTES = 107
/** Maximum number of clients that wait to be accepted. */
const BACKLOG = 32
/** umask under which the socket is bound: only this user can connect before the mode is set. */
const PRIVATE_UMASK = 0o177

/** Errors of a connect that a process which listens can cause. */
const SIGNS_OF_LIFE = ['EAGAIN', 'EACCES']

/** A socket file that this process has created. */
export interface SocketFile {
  /** Moves the file to another path; throws EADDRINUSE if a process listens there. */
  move(path: string): Promise<void>
  /** Removes the file if it still belongs to this process. */
  remove(): void
}

/** Listens at a path. Throws EADDRINUSE if another process listens there. */
export async function listenAtPath(
  server: Server,
  { path, mode }: { readonly path: string; readonly mode: number },
): Promise<SocketFile> {
  // Bound beside its name and linked to it: of two processes one gets the name. Closing the server
  // removes the file by the name that it was bound to, which is not the final one.
  const temporary = `${path}.${processId()}`
  const bytes = Buffer.byteLength(temporary)
  if (bytes > MAX_PATH_BYTES) {
    const problem = `the path is too long: ${bytes} bytes > ${MAX_PATH_BYTES}, with the process id`
    throw systemError('ENAMETOOLONG', problem)
  }
  await listen(server, temporary)
  try {
    chmodSync(temporary, mode)
    await claim(temporary, path)
  } catch (error) {
    server.close()
    throw error
  } finally {
    removeQuietly(temporary)
  }
  const ino = lstatSync(path).ino
  let current = path
  const isOwn = () => lstatSync(current, { throwIfNoEntry: false })?.ino === ino
  return {
    async move(to) {
      if (!isOwn()) return
      await claim(current, to)
      removeQuietly(current)
      current = to
    },
    remove() {
      if (isOwn()) removeQuietly(current)
    },
  }
}

/** Removes a socket file that no process listens on. Returns false if a process does. */
export async function removeStaleSocket(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw systemError('ENOTSOCK', path)
  }
  if (await isListening(path, SIGNS_OF_LIFE)) return false
  // Moved away before it is removed. If another process has put its own socket there meanwhile,
  // that one is put back.
  const moved = `${path}.${processId()}.stale`
  try {
    renameSync(path, moved)
  } catch (error) {
    // Another process has moved the file first.
    if (errorCode(error) === 'ENOENT') return true
    throw error
  }
  const isLive = await isListening(moved, SIGNS_OF_LIFE)
  if (isLive) linkIfFree(moved, path)
  unlinkSync(moved)
  return !isLive
}

async function claim(from: string, path: string): Promise<void> {
  while (!linkIfFree(from, path)) {
    if (!(await removeStaleSocket(path))) throw systemError('EADDRINUSE', path)
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail)
    // bind(2) is in this call.
    bindWithUmask(PRIVATE_UMASK, () =>
      server.listen({ path, backlog: BACKLOG }, () => {
        server.off('error', fail)
        done()
      }),
    )
  })
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // The file has been removed or moved already.
  }
}
