/**
 * The operating system as one interface: signals, child processes, the clocks, timers, exit, environment. The two
 * loops get it as an argument, so their tests run on a fake one without processes and without waiting.
 */

import type { ArbiterMessage, SuccessorMessage, WorkerMessage } from '../messages.ts'
import type { SignalName } from '../signals.ts'
import { openParentChannel } from './channels.ts'
import { countOomKills, residentBytes } from './memory.ts'
import { spawnChild, spawnSelf } from './spawn.ts'

export interface System {
  readonly pid: number
  readonly env: NodeJS.ProcessEnv
  /** Milliseconds of a clock that never jumps. */
  now(): number
  /** The time of day, which may jump. */
  date(): Date
  /** 0 <= n < 1. */
  random(): number
  /** Calls back once; the returned function takes it back. Holds the process meanwhile. */
  after(delayMs: number, callback: () => void): () => void
  /** Resolves later; does not hold the process. */
  sleep(delayMs: number): Promise<void>
  /** Calls back again and again; does not hold the process. */
  every(intervalMs: number, callback: () => void): () => void
  /** The returned function takes it back. */
  onSignal(signal: SignalName, callback: () => void): () => void
  /** Sends a signal; false when there is no such process. */
  kill(pid: number, signal: SignalName | 'KILL' | 'CONT'): boolean
  /** Whether a process with this id exists, ours or not. */
  isAlive(pid: number): boolean
  /** How often the kernel has killed one of us for want of memory; undefined where nobody counts. */
  countOomKills(): number | undefined
  /** What a process has in memory; undefined when nobody tells. */
  residentBytes(pid: number): number | undefined
  spawn(options: SpawnOptions): Child
  /** Starts this program anew, as a process of its own that outlives this one. */
  spawnSelf(options: SpawnSelfOptions): Successor
  /** The other end of what `spawnSelf` gives to the process that it starts. */
  openParentChannel(): ParentChannel
  exit(status: number): never
  /** Calls back when this process ends, also where a program or an error ends it; nothing may be waited for. */
  onExit(callback: () => void): void
  /** The returned function takes it back. */
  onUncaught(callback: (thrown: unknown) => void): () => void
  onRejection(callback: (reason: unknown, promise: unknown) => void): void
  /** Calls back when nothing is left that this process waits for. */
  onIdle(callback: () => void): void
  /** How many listen, we included. */
  countListeners(event: 'uncaughtException' | 'unhandledRejection' | 'SIGTERM'): number
  /** Gives a rejection to those who listen to exceptions, as node does. */
  emitUncaught(reason: unknown): void
}

export interface SpawnOptions {
  /** The module to run, with this process's own node flags. */
  readonly script: string
  /** What `ps` shows until the process has named itself. */
  readonly title: string
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** Descriptors for 4, 5, ... in the child; 'ignore' leaves a number unused, 'pipe' is for `Child.share`. */
  readonly extraFds: readonly (number | 'ignore' | 'pipe')[]
  /** Node flags beside this process's own. */
  readonly nodeFlags?: readonly string[]
  /** As of nice(1). */
  readonly nice?: number
  /** What it prints comes by `onOutput` and not on this process's own streams. */
  readonly capturesOutput?: boolean
  /** Keeps to one of the processors that this process may use, counted from 0 and round again. */
  readonly processorIndex?: number
}

/** How this program was started. */
export interface Program {
  readonly entry: string
  readonly args: readonly string[]
  /** As the shell named it, so that a link that was moved meanwhile leads to the new place. */
  readonly cwd: string
}

export interface SpawnSelfOptions {
  readonly program: Program
  readonly env: NodeJS.ProcessEnv
  /** Descriptors for 4, 5, ...; 3 is the channel. */
  readonly extraFds: readonly number[]
  /** In a session of its own, with these as standard output and error. */
  readonly detachedStdio?: readonly ('inherit' | 'ignore')[]
}

/** A copy of this program that was started by it. */
export interface Successor {
  readonly pid: number | undefined
  onMessage(callback: (message: SuccessorMessage) => void): void
  onExit(callback: (exit: ChildExit) => void): void
  /** Lets this process end without it. */
  detach(): void
}

/** Who has started this process by `spawnSelf`. */
export interface ParentChannel {
  send(message: SuccessorMessage): void
  onGone(callback: () => void): void
  /** Nobody is told anything any more. */
  close(): void
}

/** A child process with its end of the channel. */
export interface Child {
  /** Undefined when the process could not be started; `onExit` tells why. */
  readonly pid: number | undefined
  send(message: ArbiterMessage): void
  onMessage(callback: (message: WorkerMessage) => void): void
  /** Answers what the child has asked for by `listen`; without a descriptor it is a no. */
  sendDescriptor(id: number, fd: number | undefined): void
  /** Each line that it prints, if that is captured. */
  onOutput(callback: (stream: 'stdout' | 'stderr', line: string) => void): void
  /** Called once, when the process has ended and its last message has been read. */
  onExit(callback: (exit: ChildExit) => void): void
  /** Lets this process end without waiting for the child. */
  detach(): void
}

export interface ChildExit {
  readonly code: number | null
  /** Without SIG: `KILL`. */
  readonly signal: string | null
  /** Why it could not be started. */
  readonly error?: string
}

/** The one system of this process. */
export const system: System = {
  pid: process.pid,
  env: process.env,
  now: () => performance.now(),
  date: () => new Date(),
  random: () => Math.random(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
  sleep: (delayMs) => new Promise((done) => setTimeout(done, delayMs).unref()),
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs).unref()
    return () => clearInterval(timer)
  },
  onSignal(signal, callback) {
    process.on(`SIG${signal}`, callback)
    return () => process.off(`SIG${signal}`, callback)
  },
  kill(pid, signal) {
    // 0 is a process that could not be started; to the system it is everybody in this group.
    if (pid <= 0) return false
    try {
      return process.kill(pid, `SIG${signal}`)
    } catch (error) {
      if (errorCode(error) === 'ESRCH') return false
      throw error
    }
  },
  isAlive(pid) {
    try {
      return process.kill(pid, 0)
    } catch (error) {
      // EPERM: it lives and belongs to somebody else.
      return errorCode(error) === 'EPERM'
    }
  },
  countOomKills,
  residentBytes,
  spawn: spawnChild,
  spawnSelf,
  openParentChannel,
  exit: (status) => process.exit(status),
  onExit: (callback) => void process.on('exit', callback),
  onIdle: (callback) => void process.once('beforeExit', callback),
  onUncaught(callback) {
    process.on('uncaughtException', callback)
    return () => process.off('uncaughtException', callback)
  },
  onRejection: (callback) => void process.on('unhandledRejection', callback),
  countListeners: (event) => process.listenerCount(event),
  emitUncaught(reason) {
    Reflect.apply(process.emit, process, ['uncaughtException', reason, 'unhandledRejection'])
  },
}

/** For log lines, which have no system at hand. */
export function processId(): number {
  return process.pid
}

export function wallClock(): Date {
  return new Date()
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
