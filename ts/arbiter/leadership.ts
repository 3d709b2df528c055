/**
 * Chooses the worker that does the work of one worker (`runInOneWorker`, setting `one_worker`). At
 * most one worker leads: the next one is chosen when the former one has confirmed that its work has
 * stopped, or is dead. During an upgrade one of the two arbiters may choose, and passes this right
 * to the other when it has no use for it.
 */

import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import type { LeadershipMessage } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { Generation } from './generation.ts'
import type { Phase } from './reactions.ts'
import type { WorkerHandle } from './worker-handle.ts'
import type { Workers } from './workers.ts'

/** The other arbiter of an upgrade. */
export interface PeerArbiter {
  /** Process id of the other arbiter, while it is running. */
  readonly peerPid: number | undefined
  sendToPeer(message: LeadershipMessage): void
}

/** What the choice depends on. */
export interface LeadershipSources {
  readonly log: Logger
  readonly workers: Workers
  readonly peer: PeerArbiter
  readonly currentGeneration: () => Generation | undefined
  readonly getPhase: () => Phase
}

/** In these phases the arbiter starts no workers. */
const PHASES_WITHOUT_WORKERS: ReadonlySet<Phase> = new Set([
  'paused',
  'pausedForSuccessor',
  'stopping',
])

/** The leading worker of one arbiter. */
export class Leadership {
  readonly #system: System
  readonly #sources: LeadershipSources
  #leader: WorkerHandle | undefined
  /** True if this arbiter may choose a worker. */
  #mayChoose = false
  /** The leader as the other arbiter has been notified of it. */
  #notified: { readonly peerPid: number; readonly leader: WorkerHandle } | undefined
  /** The worker of the other arbiter that leads, or did so last. */
  #peerLeaderPid: number | undefined
  /** True if the other arbiter has passed the right to choose to this one. */
  #hasPeerPassed = false

  constructor(system: System, sources: LeadershipSources) {
    this.#system = system
    this.#sources = sources
  }

  /** Handles a message of the other arbiter. */
  handlePeerMessage(message: LeadershipMessage): void {
    if (message.type === 'leader') {
      this.#peerLeaderPid = message.pid
      return
    }
    this.#peerLeaderPid = undefined
    this.#hasPeerPassed = true
    this.#mayChoose = true
  }

  /** Chooses a worker if none leads. Called after each event. */
  update(): void {
    const { log, peer } = this.#sources
    if (peer.peerPid === undefined) this.#handleMissingPeer()
    if (!this.#mayChoose) return
    if (this.#leader !== undefined && hasStopped(this.#leader)) this.#leader = undefined
    if (this.#leader === undefined) {
      this.#leader = this.#choose()
      if (this.#leader === undefined) return this.#passIfUnused()
      this.#notifyPeer(this.#leader)
      logLine(log, 'workerLeads', this.#leader.pid)
      this.#leader.wasChosen = true
      this.#leader.child.send({ type: 'lead' })
      return
    }
    this.#notifyPeer(this.#leader)
  }

  /** A worker of an arbiter that was killed may still be running: it stops within two seconds. */
  #handleMissingPeer(): void {
    this.#hasPeerPassed = false
    this.#notified = undefined
    if (this.#peerLeaderPid !== undefined && this.#system.isAlive(this.#peerLeaderPid)) return
    this.#peerLeaderPid = undefined
    this.#mayChoose = true
  }

  /** Prefers workers that stay, and among them the newest: TTOU stops the oldest first. */
  #choose(): WorkerHandle | undefined {
    const current = this.#sources.currentGeneration()
    const rank = (worker: WorkerHandle) =>
      (worker.generation === current ? 2 : 0) + (worker.needsReplacement ? 0 : 1)
    return this.#sources.workers
      .list()
      .filter(({ state, canLead }) => state === 'serving' && canLead)
      .sort((a, b) => rank(b) - rank(a) || b.age - a.age)[0]
  }

  // Not back to an arbiter that has passed it: both could pass it on without end.
  #passIfUnused(): void {
    const { peer, getPhase } = this.#sources
    if (peer.peerPid === undefined || this.#hasPeerPassed) return
    if (!PHASES_WITHOUT_WORKERS.has(getPhase())) return
    this.#mayChoose = false
    peer.sendToPeer({ type: 'passLead' })
  }

  /** Notifies the other arbiter before the worker begins: this arbiter may be killed after that. */
  #notifyPeer(leader: WorkerHandle): void {
    const { peerPid } = this.#sources.peer
    if (peerPid === undefined) return
    if (this.#notified?.leader === leader && this.#notified.peerPid === peerPid) return
    this.#notified = { peerPid, leader }
    this.#sources.peer.sendToPeer({ type: 'leader', pid: leader.pid })
  }
}

/** A worker leads once: after it has stopped it cannot lead again. */
function hasStopped({ state, canLead }: WorkerHandle): boolean {
  return state === 'gone' || !canLead
}
