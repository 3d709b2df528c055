/**
 * Starts child processes: workers, and this program anew as an upgrade or a daemon. `channels.ts` has the sockets that
 * connect a child with this process.
 */

import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

import { CHANNEL_FD, messageDecoder, type SuccessorMessage } from '../messages.ts'
import { native } from '../native/index.ts'
import { channelOf, onceExited, type SpawnResult, wrapChild } from './channels.ts'
import type { Child, SpawnOptions, SpawnSelfOptions, Successor } from './system.ts'

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

export function spawnSelf({ program, env, extraFds, detachedStdio }: SpawnSelfOptions): Successor {
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
  const channel = channelOf(child, CHANNEL_FD)
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
