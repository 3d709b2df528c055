/**
 * The control socket of one arbiter: opens it where the settings want it, and follows reloads and
 * upgrades. Without the setting `control_socket` it is in the user's directory, named by the
 * process id.
 */

import { resolve } from 'node:path'

import {
  controlSocketPath,
  createControlDirectory,
  listControlDirectories,
  listSockets,
} from '../control/directory.ts'
import { ControlServer, type ControlServerOptions } from '../control/server.ts'
import { listenAtPath, removeStaleSocket, type SocketFile } from '../control/socket-file.ts'
import { monocerosError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { errorCode, type System } from '../process/system.ts'
import type { Config } from '../settings/config.ts'

/** The settings of the control socket. */
export type ControlSettings = Pick<
  Config,
  'control_socket' | 'control_socket_mode' | 'control_socket_disable' | 'chdir'
>

/** What the control socket needs from the arbiter. */
export interface ControlSocketDependencies extends ControlServerOptions {
  readonly log: Logger
  /** True if the arbiter that started this one is still running, and owns the plain path. */
  readonly isSuccessor: boolean
}

/** Stale files that are removed from the user's directory at one start. */
const MAX_STALE_FILES = 100
const MOVE_TRIES = 20
const MOVE_RETRY_MS = 100
const SUCCESSOR_SUFFIX = '.2'

interface OpenSocket {
  readonly settings: ControlSettings
  readonly server: ControlServer
  readonly file: SocketFile
}

/** The control socket of one arbiter, which may be off. */
export class ControlSocket {
  readonly #system: System
  readonly #dependencies: ControlSocketDependencies
  #suffix: string
  #open: OpenSocket | undefined
  /** Servers of earlier settings that still have connections. */
  #retired: ControlServer[] = []
  #isClosed = false
  /** Changes are made one after the other. */
  #changes: Promise<void> = Promise.resolve()

  constructor(system: System, dependencies: ControlSocketDependencies) {
    this.#system = system
    this.#dependencies = dependencies
    this.#suffix = dependencies.isSuccessor ? SUCCESSOR_SUFFIX : ''
  }

  /** Opens the socket. Throws ERR_CONTROL_SOCKET if a path that is set cannot be used. */
  async start(settings: ControlSettings): Promise<void> {
    this.#open = await this.#listen(settings)
  }

  /** Follows the settings of a reload. An error is logged, and the open socket stays. */
  applySettings(settings: ControlSettings): void {
    this.#change(async () => {
      if (this.#open !== undefined && hasSameSocket(this.#open.settings, settings)) return
      if (this.#open === undefined && settings.control_socket_disable) return
      const next = await this.#listen(settings)
      this.#retireOpen()
      this.#open = next
    })
  }

  /** Takes the plain path, which is free since the older arbiter has exited. */
  dropSuccessorSuffix(): void {
    this.#suffix = ''
    this.#change(async () => {
      const path = this.#open === undefined ? undefined : this.#findPath(this.#open.settings)
      if (path !== undefined) await this.#moveTo(path)
    })
  }

  // The older arbiter may have been killed: its sockets close one by one while it exits.
  async #moveTo(path: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#open?.file.move(path)
      } catch (error) {
        if (errorCode(error) !== 'EADDRINUSE' || attempt === MOVE_TRIES) {
          throw monocerosError('ERR_CONTROL_SOCKET', path, explain(error))
        }
        await this.#system.sleep(MOVE_RETRY_MS)
      }
    }
  }

  /** Answers what is in flight, closes the socket and removes its file. */
  close(): void {
    this.#isClosed = true
    this.#closeOpen()
  }

  // The command that has caused the reload is answered on the old socket.
  #retireOpen(): void {
    if (this.#open === undefined) return
    this.#open.file.remove()
    this.#open.server.retire()
    this.#retired = this.#retired.filter(({ connectionCount }) => connectionCount > 0)
    this.#retired.push(this.#open.server)
  }

  #closeOpen(): void {
    // First, so that no file leads to a closed socket.
    this.#open?.file.remove()
    this.#open?.server.close()
    this.#open = undefined
    for (const server of this.#retired) server.close()
    this.#retired = []
  }

  #change(step: () => Promise<void>): void {
    this.#changes = this.#changes.then(step).catch((error: unknown) => {
      this.#dependencies.log.error(error instanceof Error ? error.message : String(error))
    })
    void this.#changes.then(() => {
      if (this.#isClosed) this.#closeOpen()
    })
  }

  /** Returns the path that is set; undefined for the default. */
  #findPath({ control_socket: path, chdir }: ControlSettings): string | undefined {
    return path === null ? undefined : resolve(chdir, path) + this.#suffix
  }

  async #listen(settings: ControlSettings): Promise<OpenSocket | undefined> {
    if (settings.control_socket_disable) return undefined
    const server = new ControlServer(this.#system, this.#dependencies)
    try {
      const { path, file } = await this.#listenAt(server, settings)
      logLine(this.#dependencies.log, 'controlListening', path)
      return { settings, server, file }
    } catch (error) {
      server.close()
      const problem = explain(error)
      const path = this.#findPath(settings)
      if (path !== undefined) throw monocerosError('ERR_CONTROL_SOCKET', path, problem)
      logLine(this.#dependencies.log, 'controlUnavailable', problem)
      return undefined
    }
  }

  async #listenAt(
    { server }: ControlServer,
    settings: ControlSettings,
  ): Promise<{ path: string; file: SocketFile }> {
    const mode = settings.control_socket_mode
    const set = this.#findPath(settings)
    if (set !== undefined)
      return { path: set, file: await listenAtPath(server, { path: set, mode }) }
    const directory = chooseDirectory(this.#system.env)
    await removeStaleSockets(directory)
    const path = controlSocketPath(directory, this.#system.pid)
    return { path, file: await listenAtPath(server, { path, mode }) }
  }
}

function hasSameSocket(a: ControlSettings, b: ControlSettings): boolean {
  return (
    !b.control_socket_disable &&
    a.control_socket === b.control_socket &&
    a.control_socket_mode === b.control_socket_mode &&
    (a.control_socket === null || a.chdir === b.chdir)
  )
}

/** Creates the first directory that can be created; throws the error of the last one. */
function chooseDirectory(env: NodeJS.ProcessEnv): string {
  const problems: unknown[] = []
  for (const directory of listControlDirectories(env)) {
    try {
      createControlDirectory(directory)
      return directory
    } catch (error) {
      problems.push(error)
    }
  }
  throw problems.at(-1)
}

// Killed instances leave their files, and each file has another name.
async function removeStaleSockets(directory: string): Promise<void> {
  for (const path of listSockets(directory).slice(0, MAX_STALE_FILES)) {
    // Another instance may remove the same file.
    await removeStaleSocket(path).catch(() => {})
  }
}

function explain(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return EXPLANATIONS[errorCode(error) ?? ''] ?? text
}

const EXPLANATIONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there',
  ENOTSOCK: 'the file is not a socket',
  ENOENT: 'the directory does not exist',
}
