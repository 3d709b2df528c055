/** The client side of the control socket. Each command has a connection of its own. */

import { connect } from 'node:net'

import { errorCode, system } from '../process/system.ts'
import { type ControlAnswer, encodeLine, type ServerMessage } from './protocol.ts'

/** A command and what to do while it runs. */
export interface CommandRequest {
  readonly command: string
  readonly args: readonly string[]
  /** Receives lines of the log before the answer. */
  readonly onLines?: (lines: readonly string[]) => void
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

function exchange(
  path: string,
  { command, args, onLines, signal }: CommandRequest,
): Promise<ControlAnswer | ConnectionFailure> {
  return new Promise((done) => {
    const socket = connect(path)
    let text = ''
    const finish = (answer: ControlAnswer | ConnectionFailure) => {
      signal?.removeEventListener('abort', stop)
      socket.destroy()
      done(answer)
    }
    const stop = () => finish({ ok: true, data: null })
    const receive = (line: string) => {
      const message: ServerMessage = JSON.parse(line)
      if ('lines' in message) onLines?.(message.lines)
      else finish(message)
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
