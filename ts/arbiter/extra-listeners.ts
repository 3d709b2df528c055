/**
 * The listening sockets of programs' further servers (a metrics port): bound when the first worker asks, held as long as
 * any wants them, and given to each that listens there, so that no reload meets an address in use.
 */

import { isIP } from 'node:net'

import { formatHostPort } from '../listen/address.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { ExtraListenerAddress } from '../messages.ts'
import { native } from '../native/index.ts'
import type { Config } from '../settings/config.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** A socket on its way to a new arbiter. */
export interface InheritedExtraListener extends ExtraListenerAddress {
  readonly fd: number
}

interface ExtraListener extends InheritedExtraListener {
  readonly users: Set<WorkerHandle>
}

/** A program that opens ports without end must not use up the arbiter's descriptors. */
const MAX_EXTRA_LISTENERS = 64
/** Below, a port belongs to the system, and a worker that is another user could not have it. */
const FIRST_UNPRIVILEGED_PORT = 1_024

export class ExtraListeners {
  readonly #log: Logger
  readonly #listeners = new Map<string, ExtraListener>()

  constructor(log: Logger, handed: readonly InheritedExtraListener[] = []) {
    this.#log = log
    for (const each of handed) this.#listeners.set(keyOf(each), { ...each, users: new Set() })
  }

  /** What a new arbiter goes on with. */
  listOpen(): InheritedExtraListener[] {
    return [...this.#listeners.values()].map(({ users: _, ...handed }) => handed)
  }

  /** Answers a worker's question. A no leaves it to node, whose own attempt tells the program what is wrong. */
  handleListen(worker: WorkerHandle, id: number, address: ExtraListenerAddress): void {
    const held =
      this.#listeners.get(keyOf(address)) ?? this.#open(address, worker.generation.config)
    held?.users.add(worker)
    worker.child.sendDescriptor(id, held?.fd)
  }

  /** The worker's server has closed. */
  handleUnlisten(worker: WorkerHandle, address: ExtraListenerAddress): void {
    const held = this.#listeners.get(keyOf(address))
    if (held?.users.delete(worker) && held.users.size === 0) this.#close(held)
  }

  /** The worker's process has ended. What it held stays for its successor. */
  removeWorker(worker: WorkerHandle): void {
    for (const { users } of this.#listeners.values()) users.delete(worker)
  }

  /** Closes what no worker has asked for; called when as many as wanted are ready. */
  closeUnused(): void {
    for (const held of this.#listeners.values()) if (held.users.size === 0) this.#close(held)
  }

  /** At a stop. */
  closeAll(): void {
    for (const held of this.#listeners.values()) this.#close(held)
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
    // As node does: without a host it is IPv6 for both, if the system has it.
    for (const each of host === null ? ['::', '0.0.0.0'] : [host]) {
      const shown = formatHostPort({ kind: 'tcp', host: each, port })
      try {
        const only = ipv6Only || (each.includes(':') && each !== '::')
        const fd = native.bindTcp(each, port, config.backlog, config.reuse_port, only)
        const held = { ...address, fd, users: new Set<WorkerHandle>() }
        this.#listeners.set(keyOf(address), held)
        logLine(this.#log, 'extraListening', shown)
        return held
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

  #close(held: ExtraListener): void {
    this.#listeners.delete(keyOf(held))
    native?.closeFd(held.fd)
  }
}

function keyOf({ host, port, ipv6Only }: ExtraListenerAddress): string {
  return `${host ?? '*'} ${port} ${ipv6Only}`
}
