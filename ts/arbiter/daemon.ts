/**
 * The setting `daemon`: the command starts itself again in the background, in a new session, and
 * waits until that process serves. Gunicorn forks instead, but a process with threads cannot fork
 * safely, and every Node process has threads.
 */

import { isatty } from 'node:tty'

import { monocerosError } from '../errors.ts'
import { type Program, system } from '../process/system.ts'
import type { Config } from '../settings/config.ts'
import { createUpgradeEnvironment } from './upgrade-state.ts'

const STDOUT_FD = 1
const STDERR_FD = 2
/** umask of a daemon, as in Gunicorn. */
const DAEMON_UMASK = 0o022

/**
 * Starts the daemon. Resolves to 0 when its workers are ready, else to the exit status of the
 * daemon.
 */
export async function startDaemon(program: Program, config: Config): Promise<number> {
  if (system.env.NOTIFY_SOCKET !== undefined) {
    printLine('warning: a service of Type=notify must not run in the background; unset daemon.')
  }
  process.umask(DAEMON_UMASK)
  const inherits = (fd: number) => config.enable_stdio_inheritance && !isatty(fd)
  const daemon = system.spawnSelf({
    program,
    env: createUpgradeEnvironment(system.env, {
      kind: 'daemon',
      pid: system.pid,
      listeners: [],
      activated: false,
    }),
    extraFds: [],
    detachedStdio: [STDOUT_FD, STDERR_FD].map((fd) => (inherits(fd) ? 'inherit' : 'ignore')),
  })
  return new Promise<number>((done) => {
    daemon.onMessage((message) => {
      if (message.type === 'startError') return printLine(`error: ${message.text}`)
      daemon.detach()
      done(0)
    })
    daemon.onExit(({ code, signal, error }) => {
      const how = error ?? (signal === null ? `code ${code}` : `SIG${signal}`)
      const failure = monocerosError('ERR_DAEMON', how)
      printLine(`error: ${failure.message}`)
      done(code === null || code === 0 ? failure.exit : code)
    })
  })
}

function printLine(text: string): void {
  process.stderr.write(`monoceros: ${text}\n`)
}
