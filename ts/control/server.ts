/**
 * The server side of the control socket. Clients are not trusted to be quick, complete or few:
 * connections, lines, waits and unsent bytes have limits, and in each turn of the event loop one
 * request is handled.
 */

import { createServer, type Server, type Socket } from 'node:net'

import type { System } from '../process/system.ts'
import { didYouMean } from '../settings/nearest.ts'
import { COMMAND_NAMES, isCommandName, rowOfCommand } from './commands.ts'
import { ControlConnection } from './connection.ts'
import { followLog, type LogSource } from './log-stream.ts'
import {
  type ControlAnswer,
  type ControlCall,
  encodeLine,
  FIRST_REQUEST_MS,
  IDLE_MS,
  MAX_CONNECTIONS,
  parseRequest,
} from './protocol.ts'

/** What the server needs from the arbiter. */
export interface ControlServerOptions {
  /** Passes a command to the arbiter's loop. */
  readonly onCall: (call: ControlCall) => void
  /** Returns where the lines of the command `logs` come from. */
  readonly findLog: () => LogSource
}

const SWEEP_MS = 1_000
/** A connection can be closed for a new one after this time without a request. */
const MIN_SILENCE_MS = 500
/** A client that has sent a request may be silent this much longer. */
const ASKED_CREDIT_MS = 30_000
const STOPPED = 'the server has stopped'

/** Accepts connections and passes their commands on. */
export class ControlServer {
  readonly server: Server
  readonly #system: System
  readonly #options: ControlServerOptions
  readonly #connections = new Set<ControlConnection>()
  readonly #calls = new Map<ControlConnection, ControlCall>()
  readonly #waiting: ControlConnection[] = []
  readonly #stopSweep: () => void
  #isScheduled = false
  #isRetired = false

  constructor(system: System, options: ControlServerOptions) {
    this.#system = system
    this.#options = options
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    // The server must not keep the process alive, and accept(2) may fail for lack of descriptors.
    this.server.unref().on('error', () => {})
    this.#stopSweep = system.every(SWEEP_MS, () => this.#closeIdle())
  }

  /** Number of open connections. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** Closes the socket. Connections close once their command is answered. */
  retire(): void {
    this.#isRetired = true
    this.#stopSweep()
    this.server.close()
    for (const connection of this.#connections) if (!connection.isBusy) connection.close()
  }

  /** Answers what is in flight and closes all connections. */
  close(): void {
    this.#stopSweep()
    this.server.close()
    for (const { command, answer } of [...this.#calls.values()]) {
      if (command === 'shutdown') answer({ ok: true, data: { message: STOPPED } })
      else answer({ ok: false, error: STOPPED })
    }
    for (const connection of this.#connections) connection.close()
  }

  #accept(socket: Socket): void {
    // A client that stays connected must not keep the process alive.
    socket.unref()
    if (this.#connections.size >= MAX_CONNECTIONS && !this.#evictSilent()) {
      const error = `the server has ${MAX_CONNECTIONS} control connections; try again`
      socket.on('error', () => {})
      socket.write(encodeLine({ ok: false, error, isBusy: true }))
      socket.destroySoon()
      return
    }
    const connection = new ControlConnection(socket, {
      nowMs: this.#system.now(),
      onRequest: () => this.#schedule(connection),
    })
    connection.onClosed = () => this.#connections.delete(connection)
    this.#connections.add(connection)
  }

  /** Closes the connection that has been silent longest. Returns false if all are active. */
  #evictSilent(): boolean {
    const nowMs = this.#system.now()
    const silentMs = (connection: ControlConnection) =>
      nowMs - connection.lastActiveMs - (connection.hasAsked ? ASKED_CREDIT_MS : 0)
    const [silent] = [...this.#connections]
      .filter((connection) => !connection.isBusy && silentMs(connection) > MIN_SILENCE_MS)
      .sort((a, b) => silentMs(b) - silentMs(a))
    if (silent === undefined) return false
    this.#connections.delete(silent)
    silent.destroy()
    return true
  }

  // A flood of requests must not delay the arbiter's loop: it handles one, then other events.
  #schedule(connection?: ControlConnection): void {
    if (connection !== undefined) this.#waiting.push(connection)
    if (this.#isScheduled || this.#waiting.length === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const next = this.#waiting.shift()
      const line = next?.takeRequest()
      if (next !== undefined && line !== undefined) this.#handle(next, line)
      this.#schedule()
    })
  }

  #handle(connection: ControlConnection, line: string): void {
    const request = parseRequest(line)
    if (typeof request === 'string') return connection.refuse({ ok: false, error: request })
    connection.hasAsked = true
    const { command, args } = request
    const id = request.id === undefined ? {} : { id: request.id }
    const finish = (answer: ControlAnswer) => {
      connection.finish({ ...id, ...answer }, this.#system.now())
      if (this.#isRetired) connection.close()
    }
    if (!isCommandName(command)) {
      const suggestion = didYouMean(command, COMMAND_NAMES)
      return finish({ ok: false, error: `unknown command "${command}"${suggestion}` })
    }
    const { findProblem, usage } = rowOfCommand(command)
    const problem = findProblem(args)
    if (problem !== undefined) {
      const form = `${command} ${usage}`.trim()
      return finish({ ok: false, error: `${command}: ${problem}. Usage: ${form}` })
    }
    const call: ControlCall = {
      command,
      args,
      answer: (answer) => {
        if (this.#calls.get(connection) !== call) return
        this.#calls.delete(connection)
        finish(answer)
      },
    }
    this.#calls.set(connection, call)
    if (command !== 'logs') return this.#options.onCall(call)
    const stop = followLog(this.#system, this.#options.findLog(), {
      follows: args.includes('-f'),
      canSend: () => connection.unsentBytes === 0,
      send: (lines) => connection.send({ ...id, lines }),
      end: (error) =>
        call.answer(error === undefined ? { ok: true, data: null } : { ok: false, error }),
    })
    connection.onClosed = () => {
      this.#connections.delete(connection)
      stop()
    }
  }

  #closeIdle(): void {
    const nowMs = this.#system.now()
    for (const connection of this.#connections) {
      const limitMs = connection.hasAsked ? IDLE_MS : FIRST_REQUEST_MS
      if (!connection.isBusy && nowMs - connection.lastActiveMs > limitMs) connection.destroy()
    }
  }
}
