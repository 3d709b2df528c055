/**
 * Upgrade by USR2: starts a new arbiter, of the version that is installed now, beside this one. The
 * new arbiter inherits the listening sockets and continues the totals of the scoreboard. The
 * operator decides which of the two stops.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { LeadershipMessage, SuccessorMessage } from '../messages.ts'
import type { ChildExit, Program, Successor, System } from '../process/system.ts'
import type { ArbiterScoreboard } from '../scoreboard/board.ts'
import type { ParentProcess } from './dependencies.ts'
import type { EventQueue } from './events.ts'
import type { InheritedExtraListener } from './extra-listeners.ts'
import type { Generation } from './generation.ts'
import type { Leadership } from './leadership.ts'
import type { Monitoring } from './monitoring/monitoring.ts'
import { createUpgradeEnvironment } from './upgrade-state.ts'

/** What an upgrade needs from the arbiter. */
export interface UpgradeDependencies {
  readonly log: Logger
  readonly queue: EventQueue
  readonly scoreboard: ArbiterScoreboard
  readonly program: Program
  /** True if systemd has opened the listening sockets. */
  readonly isSocketActivated: boolean
  readonly parent: ParentProcess | undefined
}

/** First descriptor of a listener in the new process; 3 is the channel. */
const FIRST_LISTENER_FD = 4

/** Connects this arbiter with the older one and the newer one of an upgrade. */
export class ArbiterUpgrade {
  readonly #system: System
  readonly #dependencies: UpgradeDependencies
  #predecessorPid: number | undefined
  #successor: Successor | undefined
  #isStarting = false
  #monitoring: Monitoring | undefined
  #leadership: Leadership | undefined

  constructor(system: System, dependencies: UpgradeDependencies) {
    this.#system = system
    this.#dependencies = dependencies
    this.#predecessorPid =
      dependencies.parent?.kind === 'upgrade' ? dependencies.parent.pid : undefined
  }

  /** Connects what the new arbiter continues. */
  connect(monitoring: Monitoring, leadership: Leadership): void {
    this.#monitoring = monitoring
    this.#leadership = leadership
  }

  /** Process id of the older arbiter that has started this one, while it is running. */
  get predecessorPid(): number | undefined {
    return this.#predecessorPid
  }

  /** Process id of the new arbiter that this one has started, while it is running. */
  get successorPid(): number | undefined {
    return this.#successor?.pid
  }

  /** Process id of the other arbiter of an upgrade, while it is running. */
  get peerPid(): number | undefined {
    return this.successorPid ?? this.#predecessorPid
  }

  /** True while another arbiter uses the same sockets. */
  get sharesSockets(): boolean {
    return this.#predecessorPid !== undefined || this.#successor !== undefined
  }

  /** In a new arbiter, pushes an event when the older one exits. */
  watchPredecessor(): void {
    const { parent, log, queue } = this.#dependencies
    if (this.#predecessorPid === undefined) return
    logLine(log, 'takingOver', this.#predecessorPid)
    parent?.channel.onGone(() => queue.push({ type: 'predecessorExit' }))
    parent?.channel.onMessage((message) => queue.push({ type: 'peerMessage', message }))
  }

  /** Starts a new arbiter. */
  start({ listeners }: Generation, extraListeners: readonly InheritedExtraListener[]): void {
    const { queue, log, scoreboard, program, isSocketActivated } = this.#dependencies
    if (this.#system.pid === 1) {
      return logLine(log, 'signalRefused', 'USR2', 'when process 1 exits, its container stops')
    }
    scoreboard.absorbEarlier()
    const passed = [...listeners, ...extraListeners].map(({ fd }) => fd)
    const boardFds = scoreboard.fd === undefined ? [] : [scoreboard.fd]
    const boardFd = FIRST_LISTENER_FD + passed.length
    const { fds: metricsFds = [], ...monitoring } =
      this.#monitoring?.handOver(boardFd + boardFds.length) ?? {}
    const state = {
      ...monitoring,
      ...(scoreboard.fd === undefined
        ? {}
        : { scoreboard: { fd: boardFd, slots: scoreboard.slotCount } }),
      kind: 'upgrade',
      pid: this.#system.pid,
      listeners: listeners.map(({ bind, socketFile }, index) => ({
        fd: FIRST_LISTENER_FD + index,
        bind,
        ...(socketFile === undefined ? {} : { path: socketFile }),
      })),
      activated: isSocketActivated,
      further: extraListeners.map((each, index) => ({
        ...each,
        fd: FIRST_LISTENER_FD + listeners.length + index,
      })),
      totals: scoreboard.totals(),
    } as const
    const successor = this.#system.spawnSelf({
      program,
      env: createUpgradeEnvironment(this.#system.env, state),
      extraFds: [...passed, ...boardFds, ...metricsFds],
    })
    const { pid = 0 } = successor
    this.#successor = successor
    this.#isStarting = true
    successor.onMessage((message) => queue.push({ type: 'peerMessage', message }))
    successor.onExit((exit) => queue.push({ type: 'successorExit', pid, exit }))
    if (pid > 0) logLine(log, 'upgradeStarting', pid)
  }

  /**
   * TTIN and TTOU suspend a process that has no handlers for them yet; CONT resumes it. Called once
   * a second.
   */
  resumeSuccessor(): void {
    if (this.#isStarting && this.successorPid !== undefined)
      this.#system.kill(this.successorPid, 'CONT')
  }

  /** Logs why a signal is refused. */
  logRefusal(signal: 'HUP' | 'USR2'): void {
    logLine(this.#dependencies.log, 'signalRefused', signal, this.describeRefusal())
  }

  /** Returns why a reload or an upgrade is refused while two arbiters run. */
  describeRefusal(): string {
    return this.#predecessorPid === undefined
      ? `the new arbiter (pid: ${this.successorPid}) is running; stop it or this one first`
      : `the arbiter (pid: ${this.#predecessorPid}) that started this one runs; stop it first`
  }

  /** Handles a message of the other arbiter. */
  handlePeerMessage(message: SuccessorMessage): void {
    if (message.type === 'leader' || message.type === 'passLead') {
      return this.#leadership?.handlePeerMessage(message)
    }
    const { successorPid } = this
    if (message.type !== 'ready' || successorPid === undefined) return
    this.#isStarting = false
    this.#monitoring?.setSuccessorServing(true)
    logLine(this.#dependencies.log, 'upgradeReady', successorPid)
  }

  /** Sends a message to the other arbiter, if there is one. */
  sendToPeer(message: LeadershipMessage): void {
    if (this.#successor !== undefined) return this.#successor.send(message)
    if (this.#predecessorPid !== undefined) this.#dependencies.parent?.channel.send(message)
  }

  handleSuccessorExit(pid: number, { code, signal, error }: ChildExit): void {
    this.#successor = undefined
    this.#monitoring?.setSuccessorServing(false)
    const how = error ?? (signal === null ? `code ${code}` : `SIG${signal}`)
    logLine(this.#dependencies.log, 'upgradeFailed', pid, how)
  }

  /** Records that the older arbiter has exited. */
  handlePredecessorExit(): void {
    this.#predecessorPid = undefined
    logLine(this.#dependencies.log, 'promoted')
  }

  /** Notifies the process that started this one that the workers are ready. */
  notifyParentReady(): void {
    this.#dependencies.parent?.channel.send({ type: 'ready' })
  }

  /**
   * Closes the channels and the page of metrics, so that this process can exit while the other
   * arbiter continues.
   */
  closeChannels(): void {
    this.#monitoring?.close()
    this.#successor?.detach()
    this.#dependencies.parent?.channel.close()
  }
}
