/**
 * The operating system as one interface: signals, child processes, clocks, timers, exit and
 * environment. The arbiter and the workers receive it as an argument, so tests run on a fake
 * without processes and without waiting.
 */

import { readFileSync } from 'node:fs'
import type { ArbiterMessage, SuccessorMessage, WorkerMessage } from '../messages.ts'
import type { SignalName } from '../signals.ts'
import { openParentChannel } from './channels.ts'
import { countOomKills, readResidentBytes } from './memory.ts'
import { spawnChild, spawnSelf } from './spawn.ts'

/** Functions of the operating system that the arbiter and the workers use. */
export interface System {
  readonly pid: number
  readonly env: NodeJS.ProcessEnv
  /** Returns the milliseconds of a monotonic clock (`performance.now()`). */
  now(): number
  /** Returns the time of day, which may jump. */
  date(): Date
  /** Returns a random number, 0 <= n < 1. */
  random(): number
  /**
   * Calls back once, unless the returned function cancels it. Keeps the process alive meanwhile.
   */
  after(delayMs: number, callback: () => void): () => void
  /** Resolves after a delay. Does not keep the process alive. */
  sleep(delayMs: number): Promise<void>
  /**
   * Calls back repeatedly, until the returned function cancels it. Does not keep the process alive.
   */
  every(intervalMs: number, callback: () => void): () => void
  /** Subscribes to a signal; the returned function unsubscribes. */
  onSignal(signal: SignalName, callback: () => void): () => void
  /** Sends a signal. Returns false if there is no such process. */
  kill(pid: number, signal: SignalName | 'KILL' | 'CONT'): boolean
  /**
   * Returns whether a process with this id exists and has not exited, whether or not it belongs to
   * this program.
   */
  isAlive(pid: number): boolean
  /**
   * Returns how many processes of this control group the kernel has killed for lack of memory;
   * undefined where it does not count.
   */
  countOomKills(): number | undefined
  /** Returns the resident memory of a process; undefined if it is unknown. */
  readResidentBytes(pid: number): number | undefined
  spawn(options: SpawnOptions): Child
  /** Starts this program again, as a process that outlives this one. */
  spawnSelf(options: SpawnSelfOptions): Successor
  /** Opens the channel to the process that started this one with `spawnSelf`. */
  openParentChannel(): ParentChannel
  exit(status: number): never
  /**
   * Calls back when this process exits, also after an error or a program's `process.exit()`. The
   * callback must be synchronous.
   */
  onExit(callback: () => void): void
  /** Subscribes to uncaught errors; the returned function unsubscribes. */
  onUncaught(callback: (thrown: unknown) => void): () => void
  onRejection(callback: (reason: unknown, promise: unknown) => void): void
  /** Calls back when the event loop has nothing left to wait for (`beforeExit`). */
  onIdle(callback: () => void): void
  /** Returns the number of listeners of an event, including our own. */
  countListeners(event: 'uncaughtException' | 'unhandledRejection' | 'SIGTERM'): number
  /** Passes a rejection to the listeners of `uncaughtException`, as Node does. */
  emitUncaught(reason: unknown): void
}

/** How a worker process is started. */
export interface SpawnOptions {
  /** Module to run, with the Node flags of this process. */
  readonly script: string
  /** Title in `ps` until the process sets its own. */
  readonly title: string
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /**
   * Descriptors for 4, 5, ... in the child. 'ignore' skips a number; 'pipe' creates the
   * channel of `sendDescriptor`.
   */
  readonly extraFds: readonly (number | 'ignore' | 'pipe')[]
  /** Node flags in addition to those of this process. */
  readonly nodeFlags?: readonly string[]
  /** Adjustment of the niceness, see nice(1). */
  readonly nice?: number
  /**
   * True if `onOutput` receives what the child prints; otherwise the child prints to the streams of
   * this process.
   */
  readonly capturesOutput?: boolean
  /**
   * Pins the child to one of the processors that this process may use: counted from 0, modulo their
   * number.
   */
  readonly processorIndex?: number
}

/** The command line of this program. */
export interface Program {
  readonly entry: string
  readonly args: readonly string[]
  /**
   * Working directory by the name that the shell used. If that is a symbolic link, it leads to the
   * new target later.
   */
  readonly cwd: string
}

/** How this program is started again. */
export interface SpawnSelfOptions {
  readonly program: Program
  readonly env: NodeJS.ProcessEnv
  /** Descriptors for 4, 5, ... in the new process; 3 is the channel. */
  readonly extraFds: readonly number[]
  /** Starts the process in a new session, with these as standard output and standard error. */
  readonly detachedStdio?: readonly ('inherit' | 'ignore')[]
}

/** A process that runs this program again: the arbiter of an upgrade, or a daemon. */
export interface Successor {
  readonly pid: number | undefined
  send(message: SuccessorMessage): void
  onMessage(callback: (message: SuccessorMessage) => void): void
  onExit(callback: (exit: ChildExit) => void): void
  /** Allows this process to exit while the successor is running. */
  detach(): void
}

/** The channel to the process that started this one with `spawnSelf`. */
export interface ParentChannel {
  send(message: SuccessorMessage): void
  onMessage(callback: (message: SuccessorMessage) => void): void
  onGone(callback: () => void): void
  /** Closes the channel; nothing can be sent any more. */
  close(): void
}

/** A worker process, with the arbiter's end of its channel. */
export interface Child {
  /** Undefined if the process could not be started; `onExit` then receives the reason. */
  readonly pid: number | undefined
  send(message: ArbiterMessage): void
  onMessage(callback: (message: WorkerMessage) => void): void
  /** Replies to the message `listen` with a descriptor; undefined refuses the request. */
  sendDescriptor(id: number, fd: number | undefined): void
  /** Receives each line that the child prints, with `capturesOutput`. */
  onOutput(callback: (stream: 'stdout' | 'stderr', line: string) => void): void
  /** Called once, when the process has exited and its last message has been read. */
  onExit(callback: (exit: ChildExit) => void): void
  /** Allows this process to exit while the child is running. */
  detach(): void
}

/** How a process exited: by `code`, by `signal`, or by an `error` before it started. */
export interface ChildExit {
  readonly code: number | null
  /** Name of the signal without SIG: `KILL`. */
  readonly signal: string | null
  /** Why the process could not be started. */
  readonly error?: string
}

/** The operating system of this process. */
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
    // A process that could not be started has the id 0, which means this whole process group to the
    // system.
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
      return process.kill(pid, 0) && !isZombie(pid)
    } catch (error) {
      // EPERM: the process exists and belongs to another user.
      return errorCode(error) === 'EPERM'
    }
  },
  countOomKills,
  readResidentBytes: readResidentBytes,
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

/** Returns whether the process has exited and its parent has not reaped it. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The state follows the name of the program, which may have any character.
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
  } catch {
    // Not Linux, or the process has been reaped.
    return false
  }
}

/** Returns the process id, for log lines, which have no `System`. */
export function processId(): number {
  return process.pid
}

/** Returns the time of day, for log lines, which have no `System`. */
export function currentDate(): Date {
  return new Date()
}

/** Returns the code of a system or Node error: `ENOENT`, `ERR_...`. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
