/**
 * The interface to systemd: sockets that it has opened (`sd_listen_fds(3)`), the notification
 * socket (`sd_notify(3)`) and the watchdog (`sd_watchdog_enabled(3)`).
 */

import { monocerosError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { native } from '../native/index.ts'
import type { System } from '../process/system.ts'

/** A socket that systemd has opened. */
export interface ActivatedSocket {
  readonly fd: number
  /** Value of FileDescriptorName= in the socket unit. */
  readonly name: string | undefined
}

const FIRST_SOCKET_FD = 3
/** Maximum number of sockets, because each worker inherits them all. */
const MAX_SOCKETS = 1024

/**
 * Takes the sockets for this process out of the environment, so that no child process uses them.
 */
export function takeActivatedSockets(env: NodeJS.ProcessEnv, pid: number): ActivatedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'])
    delete env[name]
  const count = Number(LISTEN_FDS)
  if (Number(LISTEN_PID) !== pid || !Number.isInteger(count) || count < 1) return []
  if (count > MAX_SOCKETS) {
    const reason = `at most ${MAX_SOCKETS} sockets can be taken from systemd`
    throw monocerosError('ERR_BIND', `LISTEN_FDS=${LISTEN_FDS}`, reason)
  }
  const names = (LISTEN_FDNAMES ?? '').split(':')
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST_SOCKET_FD + index,
    name: names[index] === '' || names[index] === 'unknown' ? undefined : names[index],
  }))
}

/** Notifications to systemd. They do nothing if systemd has not started this process. */
export interface SystemdNotifier {
  notifyReady(status: string): void
  notifyReloading(): void
  /**
   * Passes the process id of an arbiter that continues, if there is one; systemd then watches that
   * process.
   */
  notifyStopping(successor: number | undefined): void
  /** Announces that this process is the main process of the service. */
  notifyPromoted(): void
  /**
   * Sends the keep-alive message of the watchdog once half of its timeout has passed. Called often.
   */
  sendWatchdogIfDue(): void
  /** Returns the time at which the next keep-alive message is due; infinity without a watchdog. */
  nextWatchdogMs(): number
}

/** Returns a notifier that does nothing if NOTIFY_SOCKET is not set. */
export function createNotifier(system: System, log: Logger): SystemdNotifier {
  const { NOTIFY_SOCKET: socket } = system.env
  if (socket === undefined || socket === '') return NO_NOTIFIER
  if (native === null) {
    logLine(log, 'notifyUnavailable')
    return NO_NOTIFIER
  }
  const { notifySystemd } = native
  return new SocketNotifier(system, (message) => {
    try {
      notifySystemd(socket, message)
    } catch (error) {
      logLine(log, 'notifyFailed', String(error))
    }
  })
}

class SocketNotifier implements SystemdNotifier {
  readonly #system: System
  readonly #send: (message: string) => void
  readonly #intervalMs: number
  #nextMs: number

  constructor(system: System, send: (message: string) => void) {
    this.#system = system
    this.#send = send
    this.#intervalMs = watchdogIntervalMs(system)
    this.#nextMs = system.now() + this.#intervalMs
  }

  notifyReady(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}`)
  }

  notifyReloading(): void {
    // Type=notify-reload compares the value with CLOCK_MONOTONIC, which is also the clock of
    // `process.hrtime`.
    const us = Math.round((native?.monotonicMs() ?? 0) * 1_000)
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${us}\nSTATUS=Reloading`)
  }

  notifyStopping(successor: number | undefined): void {
    if (successor === undefined) return this.#send('STOPPING=1\nSTATUS=Stopping')
    this.#send(`MAINPID=${successor}\nREADY=1\nSTATUS=Handed over to ${successor}`)
  }

  notifyPromoted(): void {
    this.#send(`MAINPID=${this.#system.pid}\nREADY=1`)
  }

  sendWatchdogIfDue(): void {
    const nowMs = this.#system.now()
    if (nowMs < this.#nextMs) return
    this.#nextMs = nowMs + this.#intervalMs
    this.#send('WATCHDOG=1')
  }

  nextWatchdogMs(): number {
    return this.#nextMs
  }
}

function watchdogIntervalMs({ env, pid }: System): number {
  const us = Number(env.WATCHDOG_USEC)
  const forUs = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid
  return forUs && us > 0 ? us / 2_000 : Number.POSITIVE_INFINITY
}

const NO_NOTIFIER: SystemdNotifier = {
  notifyReady: () => {},
  notifyReloading: () => {},
  notifyStopping: () => {},
  notifyPromoted: () => {},
  sendWatchdogIfDue: () => {},
  nextWatchdogMs: () => Number.POSITIVE_INFINITY,
}
