/**
 * The operating system as one interface: signals, child processes, the clocks, timers, exit, environment. The two
 * loops get it as an argument, so their tests run on a fake one without processes and without waiting.
 */

import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import { Socket } from 'node:net'
import { getPriority, setPriority } from 'node:os'

import { LineSplitter } from '../log/lines.ts'
import {
  type ArbiterMessage,
  CHANNEL_FD,
  DESCRIPTOR_CHANNEL_FD,
  encodeMessage,
  messageDecoder,
  type SuccessorMessage,
  type WorkerMessage,
} from '../messages.ts'
import { native } from '../native/index.ts'
import type { SignalName } from '../signals.ts'
import { countOomKills, residentBytes } from './memory.ts'

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

function spawnChild(options: SpawnOptions): Child {
  const {
    script,
    title,
    env,
    cwd,
    extraFds,
    nodeFlags: flags = [],
    capturesOutput = false,
  } = options
  const printed = capturesOutput ? 'pipe' : 'inherit'
  // Loaded only where it is used: a worker starts nothing.
  const { spawn } = process.getBuiltinModule('node:child_process')
  const child = spawnOrFail(() =>
    spawn(process.execPath, [...inheritedNodeFlags(), ...flags, script], {
      // Node can only write a title over what argv had at the start: the padding is the room for it.
      argv0: title.padEnd(TITLE_PADDING),
      cwd,
      env,
      // In a session of its own: node sets every signal back to its default when it starts, and to a process in nobody's
      // session the kernel does not do the default of TTIN, TTOU and TSTP, which would stop it until it has handlers. And
      // what a terminal sends to its processes comes to the arbiter alone, who passes on what is meant.
      detached: true,
      stdio: ['inherit', printed, printed, 'pipe', ...extraFds],
    }),
  )
  if (child.pid !== undefined) setScheduling(child.pid, options)
  return wrapChild(child)
}

/** A process, or what there is instead of one that could not be started. */
type SpawnResult = EventEmitter &
  Partial<Pick<ChildProcess, 'pid' | 'stdio' | 'stdout' | 'stderr' | 'unref'>>

// Of the system's refusals node emits five (of which two leave a process without streams) and throws the others (E2BIG,
// ENOMEM, ETXTBSY, ...), as it does with what cannot be an argument or a variable. Here all of them are an end.
function spawnOrFail(spawn: () => ChildProcess): SpawnResult {
  try {
    return spawn()
  } catch (thrown) {
    const child = new EventEmitter()
    process.nextTick(() => child.emit('error', thrown))
    return child
  }
}

// Threads take it over from the one that starts them, and this early there is only one.
function setScheduling(pid: number, { nice, processorIndex }: SpawnOptions): void {
  try {
    if (nice !== undefined) setPriority(pid, getPriority() + nice)
    if (processorIndex !== undefined) native?.pinToProcessor(pid, processorIndex)
  } catch {
    // Not permitted, or the process has ended already: it runs as it is. The settings' page says what is needed.
  }
}

function spawnSelf({ program, env, extraFds, detachedStdio }: SpawnSelfOptions): Successor {
  // After an update of Node the binary that runs may be gone; the name that it was called by leads to the new one.
  const node = existsSync(process.execPath) ? process.execPath : process.argv0
  const { spawn } = process.getBuiltinModule('node:child_process')
  const child = spawnOrFail(() =>
    spawn(node, [...inheritedNodeFlags(), program.entry, ...program.args], {
      cwd: program.cwd,
      env,
      detached: detachedStdio !== undefined,
      stdio: [
        ...(detachedStdio === undefined
          ? (['inherit', 'inherit', 'inherit'] as const)
          : ['ignore' as const, ...detachedStdio]),
        'pipe',
        ...extraFds,
      ],
    }),
  )
  const channel = child.stdio?.[CHANNEL_FD] as Socket | null | undefined
  channel?.on('error', () => {})
  channel?.setEncoding('utf8')
  return {
    pid: child.pid,
    onMessage: (callback) => void channel?.on('data', messageDecoder<SuccessorMessage>(callback)),
    onExit: (callback) => onceExited(child, callback),
    detach() {
      child.unref?.()
      channel?.destroy()
    },
  }
}

function openParentChannel(): ParentChannel {
  const socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true })
  // A parent that has gone is reported by 'close'.
  socket.on('error', () => {})
  socket.resume().unref()
  return {
    send: (message) => void socket.write(encodeMessage(message)),
    onGone: (callback) => void socket.on('close', callback),
    close: () => void socket.destroySoon(),
  }
}

const TITLE_PADDING = 160

// A debugger's port can only be opened once, and a program that was given as text runs here and not in each worker.
function inheritedNodeFlags(): string[] {
  const { execArgv } = process
  return execArgv.filter(
    (flag, at) =>
      !EXCLUDED_FLAG.test(flag) && !EXCLUDED_FLAG_WITH_VALUE.test(execArgv[at - 1] ?? ''),
  )
}

const EXCLUDED_FLAG =
  /^(?:--inspect|--debug-port|(?:-|-[epic]|-pe|--(?:eval|print|input-type|interactive|check))(?:=|$))/
/** The value of these may be the next word; that of the others stands behind an equals sign. */
const EXCLUDED_FLAG_WITH_VALUE =
  /^(?:--(?:inspect-port|debug-port|inspect-publish-uid|eval|print|input-type)|-[ep]|-pe)$/

function wrapChild(child: SpawnResult): Child {
  const channel = child.stdio?.[CHANNEL_FD] as Socket | null | undefined
  const sharing = child.stdio?.at(DESCRIPTOR_CHANNEL_FD) as Socket | null | undefined
  for (const socket of [channel, sharing]) {
    // A worker that dies while we write to it is reported by its exit.
    socket?.on('error', () => {})
    socket?.setEncoding('utf8')
  }
  return {
    pid: child.pid,
    send: (message) => void channel?.write(encodeMessage(message)),
    onMessage(callback) {
      for (const socket of [channel, sharing]) {
        socket?.on('data', messageDecoder<WorkerMessage>(callback))
      }
    },
    sendDescriptor(id, fd) {
      const end = (sharing as unknown as { _handle: { fd: number } | null } | null)?._handle
      if (end == null) return
      try {
        native?.sendDescriptor(end.fd, id, fd)
      } catch {
        // The worker has gone, or does not read what it has asked for: it gives up by itself.
      }
    },
    onOutput(callback) {
      for (const stream of ['stdout', 'stderr'] as const) {
        const lines = new LineSplitter((line) => callback(stream, line))
        child[stream]?.setEncoding('utf8').on('data', (text: string) => lines.push(text))
        child[stream]?.on('end', () => lines.flush())
      }
    },
    onExit: (callback) => onceExited(child, callback),
    detach() {
      child.unref?.()
      channel?.destroy()
      sharing?.destroy()
    },
  }
}

// 'close' comes when the last message (why the application failed) has been read; but a process that the worker left
// behind may hold the channel open, so after 'exit' it is waited for only shortly.
const CHANNEL_CLOSE_WAIT_MS = 250

function onceExited(child: SpawnResult, callback: (exit: ChildExit) => void): void {
  let told = false
  const tell = (exit: ChildExit) => {
    if (told) return
    told = true
    callback(exit)
  }
  child.on('exit', (code: number | null, signal: NodeJS.Signals | null) => {
    const exit = { code, signal: signalName(signal) }
    const timer = setTimeout(() => tell(exit), CHANNEL_CLOSE_WAIT_MS)
    child.on('close', () => {
      clearTimeout(timer)
      tell(exit)
    })
  })
  child.on('error', (thrown: unknown) => {
    const error = thrown instanceof Error ? thrown.message : String(thrown)
    if (child.pid === undefined) tell({ code: null, signal: null, error })
  })
}

function signalName(signal: NodeJS.Signals | null): string | null {
  return signal === null ? null : signal.slice('SIG'.length)
}
