// The WebSockets of the soak: each asks and is answered again and again, and when it is ended by 1012 (the service
// restarts) it comes back, as clients do.

import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'

const PAUSE_MS = 50
/** No answer and no end for so long is a loss. */
const LIMIT_MS = 20_000
const SERVICE_RESTART = 1012

export interface SocketResult {
  /** How often one was opened. */
  readonly opened: number
  /** How many of them were ended by 1012. */
  readonly restarted: number
  readonly lost: readonly string[]
}

export interface SocketLoad {
  /** Ends all; may be called again. */
  stop(): Promise<SocketResult>
}

/** Opens so many and keeps them talking. */
export function startSockets(port: number, count: number): SocketLoad {
  const lost: string[] = []
  let [opened, restarted, running] = [0, 0, true]
  const loops = Array.from({ length: count }, loop)

  async function loop(): Promise<void> {
    while (running) {
      const socket = await openSocket(port).catch((error: Error) => {
        lost.push(`websocket: ${error.message}`)
      })
      if (socket === undefined) {
        await pause(PAUSE_MS)
        continue
      }
      opened += 1
      const code = await talk(socket)
      if (code === SERVICE_RESTART) restarted += 1
      else if (running || code !== 1000) lost.push(`websocket: ended by ${code}`)
    }
  }

  /** Asks until the other side ends it or the load stops; the result is the code of the end. */
  async function talk(socket: WebSocket): Promise<number | string> {
    const ended = new Promise<number>((done) => void socket.on('close', done))
    for (let number = 0; running; number += 1) {
      const answer = new Promise<string>((done) => {
        socket.once('message', (data) => done(String(data)))
      })
      socket.send(String(number))
      const outcome = await Promise.race([
        answer,
        ended,
        pause(LIMIT_MS, 'no answer', { ref: false }),
      ])
      if (typeof outcome === 'number') return outcome
      if (outcome !== String(number)) return outcome
      await pause(PAUSE_MS)
      if (socket.readyState !== WebSocket.OPEN) return ended
    }
    socket.close(1000)
    return Promise.race([ended, pause(LIMIT_MS, 'no end', { ref: false })])
  }

  return {
    async stop() {
      running = false
      await Promise.all(loops)
      return { opened, restarted, lost }
    },
  }
}

/** Opens one; `ended` is the code that ends it. */
export async function openSocket(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`)
  await new Promise<void>((done, fail) => {
    socket.once('open', done)
    socket.once('error', fail)
  })
  // What ends it is what 'close' says.
  socket.on('error', () => {})
  return socket
}

/** The code that ends a socket which is open. */
export function endOf(socket: WebSocket): Promise<number> {
  return new Promise((done) => void socket.on('close', done))
}
