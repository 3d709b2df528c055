/**
 * Listening sockets of extra servers that the application creates (a metrics port, for example).
 * The arbiter binds one when the first worker asks, and shares it with every worker that asks. It
 * stays open while any worker uses it, so a reload does not fail with "address in use".
 */

import { isIP } from 'node:net'

import { formatHostPort } from '../listen/address.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { ExtraListenerAddress } from '../messages.ts'
import { native } from '../native/index.ts'
import type { Config } from '../settings/config.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** Extra listener that an older arbiter has passed on. */
export interface InheritedExtraListener extends ExtraListenerAddress {
  readonly fd: number
}

interface ExtraListener extends InheritedExtraListener {
  readonly users: Set<WorkerHandle>
}

/**
 * Maximum number of extra listeners. An application that opens ports endlessly must not use up the
 * arbiter's descriptors.
 */
const MAX_EXTRA_LISTENERS = 64
/**
 * Ports below this number are privileged. A worker that runs as another user could not bind one
 * itself.
 */
const FIRST_UNPRIVILEGED_PORT = 1_024

/** The extra listeners of one arbiter, by address. */
export class ExtraListeners {
  readonly #log: Logger
  readonly #listeners = new Map<string, ExtraListener>()

  constructor(log: Logger, inherited: readonly InheritedExtraListener[] = []) {
    this.#log = log
    for (const each of inherited) this.#listeners.set(keyOf(each), { ...each, users: new Set() })
  }

  /** Returns the open extra listeners, for the arbiter that an upgrade starts. */
  listOpen(): InheritedExtraListener[] {
    return [...this.#listeners.values()].map(({ users: _, ...inherited }) => inherited)
  }

  /**
   * Replies to the message `listen` with a descriptor, or without one. In the second case Node
   * binds the address in the worker and reports the error to the application.
   */
  handleListen(worker: WorkerHandle, id: number, address: ExtraListenerAddress): void {
    const listener =
      this.#listeners.get(keyOf(address)) ?? this.#open(address, worker.generation.config)
    listener?.users.add(worker)
    worker.child.sendDescriptor(id, listener?.fd)
  }

  /** Handles the message `unlisten`: the worker's server has closed. */
  handleUnlisten(worker: WorkerHandle, address: ExtraListenerAddress): void {
    const listener = this.#listeners.get(keyOf(address))
    if (listener?.users.delete(worker) && listener.users.size === 0) this.#close(listener)
  }

  /** Forgets a worker that has exited. Its listeners stay open for the worker that replaces it. */
  removeWorker(worker: WorkerHandle): void {
    for (const { users } of this.#listeners.values()) users.delete(worker)
  }

  /**
   * Closes the listeners that no worker uses. Called when the wanted number of workers is ready.
   */
  closeUnused(): void {
    for (const listener of this.#listeners.values())
      if (listener.users.size === 0) this.#close(listener)
  }

  /** Closes every listener, when the arbiter stops. */
  closeAll(): void {
    for (const listener of this.#listeners.values()) this.#close(listener)
  }

  #open(address: ExtraListenerAddress, config: Config): ExtraListener | undefined {
    const { host, port, ipv6Only } = address
    if (native === null || (host !== null && isIP(host) === 0)) return undefined
    const isDemoted = config.user !== null || config.group !== null
    if (
      this.#listeners.size >= MAX_EXTRA_LISTENERS ||
      (isDemoted && port < FIRST_UNPRIVILEGED_PORT)
    )
      return undefined
    // Without a host Node listens on `::` for IPv6 and IPv4, or on 0.0.0.0 where the system has no
    // IPv6.
    for (const each of host === null ? ['::', '0.0.0.0'] : [host]) {
      const shown = formatHostPort({ kind: 'tcp', host: each, port })
      try {
        const only = ipv6Only || (each.includes(':') && each !== '::')
        const fd = native.bindTcp(each, port, config.backlog, config.reuse_port, only)
        const listener = { ...address, fd, users: new Set<WorkerHandle>() }
        this.#listeners.set(keyOf(address), listener)
        logLine(this.#log, 'extraListening', shown)
        return listener
      } catch (error) {
        logLine(
          this.#log,
          'extraListenFailed',
          shown,
          error instanceof Error ? error.message : String(error),
        )
      }
    }
    return undefined
  }

  #close(listener: ExtraListener): void {
    this.#listeners.delete(keyOf(listener))
    native?.closeFd(listener.fd)
  }
}

function keyOf({ host, port, ipv6Only }: ExtraListenerAddress): string {
  return `${host ?? '*'} ${port} ${ipv6Only}`
}
