// Fakes of the processes that an arbiter starts, or that have started it.

import type { ArbiterMessage, SuccessorMessage, WorkerMessage } from '../../ts/messages.ts'
import type {
  Child,
  ChildExit,
  ParentChannel,
  SpawnOptions,
  SpawnSelfOptions,
  Successor,
} from '../../ts/process/system.ts'

export class FakeChild implements Child {
  readonly pid: number
  readonly options: SpawnOptions
  readonly received: ArbiterMessage[] = []
  readonly signals: string[] = []
  readonly sentDescriptors: [number, number | undefined][] = []
  #onMessage: (message: WorkerMessage) => void = () => {}
  #onExit: (exit: ChildExit) => void = () => {}
  hasExited = false
  isDetached = false

  constructor(pid: number, options: SpawnOptions) {
    this.pid = pid
    this.options = options
  }

  send(message: ArbiterMessage): void {
    this.received.push(message)
  }

  onMessage(callback: (message: WorkerMessage) => void): void {
    this.#onMessage = callback
  }

  onOutput(): void {}

  sendDescriptor(id: number, fd: number | undefined): void {
    this.sentDescriptors.push([id, fd])
  }

  onExit(callback: (exit: ChildExit) => void): void {
    this.#onExit = callback
  }

  detach(): void {
    this.isDetached = true
  }

  sendMessage(message: WorkerMessage): void {
    this.#onMessage(message)
  }

  exit(exit: Partial<ChildExit>): void {
    this.hasExited = true
    this.#onExit({ code: null, signal: null, ...exit })
  }

  get slot(): string | undefined {
    return this.options.env.MONOCEROS_WORKER
  }
}

/** The arbiter that an upgrade has started, as the old arbiter sees it. */
export class FakeSuccessor implements Successor {
  readonly pid = 2000
  readonly options: SpawnSelfOptions
  sendMessage: (message: SuccessorMessage) => void = () => {}
  exit: (exit: ChildExit) => void = () => {}
  readonly received: SuccessorMessage[] = []
  isDetached = false

  constructor(options: SpawnSelfOptions) {
    this.options = options
  }

  send(message: SuccessorMessage): void {
    this.received.push(message)
  }

  onMessage(callback: (message: SuccessorMessage) => void): void {
    this.sendMessage = callback
  }

  onExit(callback: (exit: ChildExit) => void): void {
    this.exit = callback
  }

  detach(): void {
    this.isDetached = true
  }
}

/** The older arbiter, as the new one sees it. */
export class FakeParent implements ParentChannel {
  readonly received: SuccessorMessage[] = []
  sendMessage: (message: SuccessorMessage) => void = () => {}
  emitGone: () => void = () => {}

  send(message: SuccessorMessage): void {
    this.received.push(message)
  }

  onMessage(callback: (message: SuccessorMessage) => void): void {
    this.sendMessage = callback
  }

  onGone(callback: () => void): void {
    this.emitGone = callback
  }

  close(): void {}
}
