/**
 * Two arbiters of one service: USR2 starts a new one, of the version that is installed now, beside this one. It
 * inherits the listening sockets and goes on from the totals; which of the two ends is the operator's to say.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { ChildExit, Program, Successor, System } from '../process/system.ts'
import type { ArbiterBoard } from '../scoreboard/board.ts'
import type { Ancestor } from './dependencies.ts'
import type { EventQueue } from './events.ts'
import type { HandedFurther } from './extra-listeners.ts'
import type { Generation } from './generation.ts'
import { handoverEnvironment } from './upgrade-state.ts'

export interface SuccessionParts {
  readonly log: Logger
  readonly queue: EventQueue
  readonly board: ArbiterBoard
  readonly program: Program
  /** Whether systemd has opened the sockets. */
  readonly activated: boolean
  readonly parent: Ancestor | undefined
}

/** The first descriptor for a listener in the new process: 3 is the channel. */
const FIRST_LISTENER_FD = 4

export class Succession {
  readonly #system: System
  readonly #parts: SuccessionParts
  #elder: number | undefined
  #successor: Successor | undefined
  #isStarting = false

  constructor(system: System, parts: SuccessionParts) {
    this.#system = system
    this.#parts = parts
    this.#elder = parts.parent?.kind === 'upgrade' ? parts.parent.pid : undefined
  }

  /** The older arbiter that has started this one, while it lives. */
  get elder(): number | undefined {
    return this.#elder
  }

  /** The new arbiter that this one has started, while it lives. */
  get successor(): number | undefined {
    return this.#successor?.pid
  }

  /** Another arbiter has the same sockets. */
  get isShared(): boolean {
    return this.#elder !== undefined || this.#successor !== undefined
  }

  /** In a new arbiter: the end of the older one comes as an event. */
  watch(): void {
    const { parent, log, queue } = this.#parts
    if (this.#elder === undefined) return
    logLine(log, 'takingOver', this.#elder)
    parent?.link.onGone(() => queue.push({ type: 'promoted' }))
  }

  /** Starts a new arbiter. */
  start({ listeners }: Generation, further: readonly HandedFurther[]): void {
    const { queue, log, board, program, activated } = this.#parts
    if (this.#system.pid === 1) {
      return logLine(
        log,
        'signalRefused',
        'USR2',
        'with the end of process 1 its container ends too',
      )
    }
    const handover = {
      kind: 'upgrade',
      pid: this.#system.pid,
      listeners: listeners.map(({ bind, path }, index) => ({
        ...{ fd: FIRST_LISTENER_FD + index, bind },
        ...(path === undefined ? {} : { path }),
      })),
      activated,
      further: further.map((each, index) => ({
        ...each,
        fd: FIRST_LISTENER_FD + listeners.length + index,
      })),
      totals: board.totals(),
    } as const
    const successor = this.#system.spawnSelf({
      program,
      env: handoverEnvironment(this.#system.env, handover),
      fds: [...listeners, ...further].map(({ fd }) => fd),
    })
    const { pid = 0 } = successor
    this.#successor = successor
    this.#isStarting = true
    successor.onMessage(({ type }) => {
      if (type === 'ready') queue.push({ type: 'successorReady', pid })
    })
    successor.onExit((exit) => queue.push({ type: 'successorExit', pid, exit }))
    if (pid > 0) logLine(log, 'upgradeStarting', pid)
  }

  /** TTIN and TTOU stop a process that has no handlers yet; only another one can wake it. */
  tick(): void {
    if (this.#isStarting && this.successor !== undefined) this.#system.kill(this.successor, 'CONT')
  }

  /** A line that says why a signal is not obeyed. */
  refuse(signal: 'HUP' | 'USR2'): void {
    const other =
      this.#elder === undefined
        ? `the new arbiter (pid: ${this.successor}) lives; end it or this one first`
        : `the arbiter (pid: ${this.#elder}) that has started this one lives; end it first`
    logLine(this.#parts.log, 'signalRefused', signal, other)
  }

  handleSuccessorReady(pid: number): void {
    this.#isStarting = false
    logLine(this.#parts.log, 'upgradeReady', pid)
  }

  handleSuccessorExit(pid: number, { code, signal, error }: ChildExit): void {
    this.#successor = undefined
    const how = error ?? (signal === null ? `code ${code}` : `SIG${signal}`)
    logLine(this.#parts.log, 'upgradeFailed', pid, how)
  }

  /** The older one has ended. */
  promote(): void {
    this.#elder = undefined
    logLine(this.#parts.log, 'promoted')
  }

  /** Tells whoever has started this process that it serves. */
  tellReady(): void {
    this.#parts.parent?.link.send({ type: 'ready' })
  }

  /** Lets this process end; the other stays. */
  release(): void {
    this.#successor?.release()
    this.#parts.parent?.link.close()
  }
}
