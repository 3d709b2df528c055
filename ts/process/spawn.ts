/**
 * Starts child processes: workers, and this program again for an upgrade or as a daemon.
 * `channels.ts` has the sockets to them.
 */

import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

import {
  CHANNEL_FD,
  createMessageDecoder,
  encodeMessage,
  type SuccessorMessage,
} from '../messages.ts'
import { native } from '../native/index.ts'
import { getChannel, type SpawnResult, watchExit, wrapChild } from './channels.ts'
import type { Child, SpawnOptions, SpawnSelfOptions, Successor } from './system.ts'

/** Starts a worker process. A failure to start is reported by `onExit`. */
export function spawnChild(options: SpawnOptions): Child {
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
  // Loaded on first use, because a worker starts no processes.
  const { spawn } = process.getBuiltinModule('node:child_process')
  const child = spawnOrFail(() =>
    spawn(process.execPath, [...inheritedNodeFlags(), ...flags, script], {
      // Node writes a title only over the space that argv had at the start; the padding makes room
      // for it.
      argv0: title.padEnd(TITLE_PADDING),
      cwd,
      env,
      // A session of its own. Node resets every signal to its default when it starts. In an
      // orphaned process group the kernel ignores the default of TTIN, TTOU and TSTP, which would
      // suspend the process until it has handlers. Signals of a terminal also reach the arbiter
      // alone, which forwards them as needed.
      detached: true,
      stdio: ['inherit', printed, printed, 'pipe', ...extraFds],
    }),
  )
  if (child.pid !== undefined) setScheduling(child.pid, options)
  return wrapChild(child)
}

// Node reports five errors of the system by an event, and two of those leave a process without
// streams. It throws the others (E2BIG, ENOMEM, ETXTBSY, ...), and rejects invalid arguments and
// variables. Here each of them counts as an exit.
function spawnOrFail(spawn: () => ChildProcess): SpawnResult {
  try {
    return spawn()
  } catch (thrown) {
    const child = new EventEmitter()
    process.nextTick(() => child.emit('error', thrown))
    return child
  }
}

// Threads inherit these from the thread that starts them, and at this point there is only one.
function setScheduling(pid: number, { nice, processorIndex }: SpawnOptions): void {
  try {
    if (nice !== undefined) setPriority(pid, getPriority() + nice)
    if (processorIndex !== undefined) native?.pinToProcessor(pid, processorIndex)
  } catch {
    // Not permitted, or the process has exited: it runs without the change. The page on settings
    // lists the rights it needs.
  }
}

/** Starts this program again. A failure to start is reported by `onExit`. */
export function spawnSelf({ program, env, extraFds, detachedStdio }: SpawnSelfOptions): Successor {
  // After an update of Node the running binary may be gone; the name that it was called by leads to
  // the new one.
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
  const channel = getChannel(child, CHANNEL_FD)
  return {
    pid: child.pid,
    send: (message) => void channel?.write(encodeMessage(message)),
    onMessage: (callback) =>
      void channel?.on('data', createMessageDecoder<SuccessorMessage>(callback)),
    onExit: (callback) => watchExit(child, callback),
    detach() {
      child.unref?.()
      channel?.destroy()
    },
  }
}

const TITLE_PADDING = 160

// The port of a debugger can be opened only once. A program given as text (`-e`) runs in this
// process and not in each worker.
function inheritedNodeFlags(): string[] {
  const { execArgv } = process
  return execArgv.filter(
    (flag, at) =>
      !INSPECTOR_FLAG.test(flag) &&
      !PROGRAM_TEXT_FLAG.test(flag) &&
      !EXCLUDED_FLAG_WITH_VALUE.test(execArgv[at - 1] ?? ''),
  )
}

const INSPECTOR_FLAG = /^--(?:inspect|debug-port)/
const PROGRAM_TEXT_FLAG = /^(?:-|-[epic]|-pe|--(?:eval|print|input-type|interactive|check))(?:=|$)/
/** The value of these flags may be the next argument; the others have it after an equals sign. */
const EXCLUDED_FLAG_WITH_VALUE =
  /^(?:--(?:inspect-port|debug-port|inspect-publish-uid|eval|print|input-type)|-[ep]|-pe)$/
