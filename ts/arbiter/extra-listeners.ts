/**
 * The listening sockets of programs' further servers (a metrics port): bound when the first worker asks, held as long as
 * any wants them, and given to each that listens there, so that no reload meets an address in use.
 */

import { isIP } from 'node:net'

import { formatHostPort } from '../listen/address.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { FurtherAddress } from '../messages.ts'
import { native } from '../native/index.ts'
import type { Config } from '../settings/config.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** A socket on its way to a new arbiter. */
export interface HandedFurther extends FurtherAddress {
  readonly fd: number
}

interface Held extends HandedFurther {
  readonly holders: Set<WorkerHandle>
}

/** A program that opens ports without end must not use up the arbiter's descriptors. */
const MAX_HELD = 64
/** Below, a port belongs to the system, and a worker that is another user could not have it. */
const FIRST_FREE_PORT = 1_024

export class FurtherListeners {
  readonly #log: Logger
  readonly #held = new Map<string, Held>()

  constructor(log: Logger, handed: readonly HandedFurther[] = []) {
    this.#log = log
    for (const each of handed) this.#held.set(keyOf(each), { ...each, holders: new Set() })
  }

  /** What a new arbiter goes on with. */
  list(): HandedFurther[] {
    return [...this.#held.values()].map(({ holders: _, ...handed }) => handed)
  }

  /** Answers a worker's question. A no leaves it to node, whose own attempt tells the program what is wrong. */
  give(worker: WorkerHandle, id: number, address: FurtherAddress): void {
    const held = this.#held.get(keyOf(address)) ?? this.#open(address, worker.generation.config)
    held?.holders.add(worker)
    worker.child.share(id, held?.fd)
  }

  /** The worker's server has closed. */
  leave(worker: WorkerHandle, address: FurtherAddress): void {
    const held = this.#held.get(keyOf(address))
    if (held?.holders.delete(worker) && held.holders.size === 0) this.#close(held)
  }

  /** The worker's process has ended. What it held stays for its successor. */
  forget(worker: WorkerHandle): void {
    for (const { holders } of this.#held.values()) holders.delete(worker)
  }

  /** Closes what no worker has asked for; called when as many as wanted are ready. */
  closeUnused(): void {
    for (const held of this.#held.values()) if (held.holders.size === 0) this.#close(held)
  }

  /** At a stop. */
  closeAll(): void {
    for (const held of this.#held.values()) this.#close(held)
  }

  #open(address: FurtherAddress, config: Config): Held | undefined {
    const { host, port, ipv6Only } = address
    if (native === null || (host !== null && isIP(host) === 0)) return undefined
    const isDemoted = config.user !== null || config.group !== null
    if (this.#held.size >= MAX_HELD || (isDemoted && port < FIRST_FREE_PORT)) return undefined
    // As node does: without a host it is IPv6 for both, if the system has it.
    for (const each of host === null ? ['::', '0.0.0.0'] : [host]) {
      const shown = formatHostPort({ kind: 'tcp', host: each, port })
      try {
        const only = ipv6Only || (each.includes(':') && each !== '::')
        const fd = native.bindTcp(each, port, config.backlog, config.reuse_port, only)
        const held = { ...address, fd, holders: new Set<WorkerHandle>() }
        this.#held.set(keyOf(address), held)
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

  #close(held: Held): void {
    this.#held.delete(keyOf(held))
    native?.closeFd(held.fd)
  }
}

function keyOf({ host, port, ipv6Only }: FurtherAddress): string {
  return `${host ?? '*'} ${port} ${ipv6Only}`
}
