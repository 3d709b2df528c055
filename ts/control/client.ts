/** The client side of the control socket. Each command has a connection of its own. */

import { connect } from 'node:net'

import { errorCode, system } from '../process/system.ts'
import { isCommandName, rowOfCommand } from './commands.ts'
import { type ControlAnswer, encodeLine, MAX_WAIT_MS, type ServerMessage } from './protocol.ts'

/** A command and what to do while it runs. */
export interface CommandRequest {
  readonly command: string
  readonly args: readonly string[]
  /** Receives lines of the log before the answer. */
  readonly onLines?: (lines: readonly string[]) => void
  /** Time limit of the answer; by default that of the command. */
  readonly limitMs?: number
  /** Ends the wait for the answer. */
  readonly signal?: AbortSignal
}

/** Where a connection failed. */
export interface ConnectionFailure {
  readonly ok: false
  readonly error: string
  /** Code of the system error that prevented the connection. */
  readonly code: string
}

/** Time limit of a command that changes nothing. */
const QUICK_ANSWER_MS = 10_000
const RETRY_MS = 100
/** How long a server with too many connections is asked again. */
const MAX_BUSY_MS = 5_000

/** Sends a command and resolves to its answer. */
export async function sendCommand(
  path: string,
  request: CommandRequest,
): Promise<ControlAnswer | ConnectionFailure> {
  const giveUpAtMs = system.now() + MAX_BUSY_MS
  for (;;) {
    const answer = await exchange(path, request)
    const isBusy = !answer.ok && ('isBusy' in answer || ('code' in answer && isFull(answer.code)))
    if (!isBusy || system.now() > giveUpAtMs) return answer
    await new Promise<void>((done) => void system.after(RETRY_MS, done))
  }
}

// The queue of connections that wait to be accepted is full.
function isFull(code: string): boolean {
  return code === 'EAGAIN'
}

function findLimitMs(command: string): number {
  const changes = isCommandName(command) && rowOfCommand(command).changes
  return changes ? MAX_WAIT_MS + QUICK_ANSWER_MS : QUICK_ANSWER_MS
}

function exchange(
  path: string,
  { command, args, onLines, signal, limitMs = findLimitMs(command) }: CommandRequest,
): Promise<ControlAnswer | ConnectionFailure> {
  return new Promise((done) => {
    const socket = connect(path)
    let text = ''
    const finish = (answer: ControlAnswer | ConnectionFailure) => {
      signal?.removeEventListener('abort', stop)
      cancelLimit()
      socket.destroy()
      done(answer)
    }
    // The arbiter may be suspended, or blocked in a hook.
    let cancelLimit = system.after(limitMs, () => {
      const error = `the server has not answered within ${limitMs / 1_000} s`
      finish({ ok: false, error, code: 'ETIMEDOUT' })
    })
    const stop = () => finish({ ok: true, data: null })
    const receive = (line: string) => {
      const message: ServerMessage = JSON.parse(line)
      if (!('lines' in message)) return finish(message)
      // The log can be followed without a limit.
      cancelLimit()
      cancelLimit = () => {}
      onLines?.(message.lines)
    }
    signal?.addEventListener('abort', stop)
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.write(encodeLine({ command, args })))
    socket.on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) receive(line)
    })
    socket.on('error', (error) => {
      finish({ ok: false, error: error.message, code: errorCode(error) ?? 'unknown' })
    })
    socket.on('close', () => {
      // The server has exited. A server that does so by request answers first.
      finish({
        ok: false,
        error: 'the server closed the connection without an answer',
        code: 'EOF',
      })
    })
  })
}
