// The WebSocket clients of the soak test. Each sends messages and waits for their echoes. When the
// server closes it with 1012 (service restart), it connects again, as real clients do.

import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'

const SEND_INTERVAL_MS = 50
/** Time without an echo or a close after which a socket counts as lost, in milliseconds. */
const ECHO_TIMEOUT_MS = 20_000
const SERVICE_RESTART = 1012

export interface SocketResult {
  /** Number of WebSockets that were opened. */
  readonly opened: number
  /** Number of WebSockets that the server closed with 1012. */
  readonly restarted: number
  /** A reason for each WebSocket that failed. */
  readonly lost: readonly string[]
}

export interface SocketLoad {
  /** Closes all WebSockets. A second call returns the same result. */
  stop(): Promise<SocketResult>
}

/** Opens `count` WebSockets, which exchange messages until they are stopped. */
export function startSockets(port: number, count: number): SocketLoad {
  const lost: string[] = []
  let [opened, restarted, running] = [0, 0, true]
  const loops = Array.from({ length: count }, runClient)

  async function runClient(): Promise<void> {
    while (running) {
      const socket = await openSocket(port).catch((error: Error) => {
        lost.push(`WebSocket: ${error.message}`)
      })
      if (socket === undefined) {
        await pause(SEND_INTERVAL_MS)
        continue
      }
      opened += 1
      const code = await exchangeMessages(socket)
      if (code === SERVICE_RESTART) restarted += 1
      else if (running || code !== 1000) lost.push(`WebSocket: closed with ${code}`)
    }
  }

  /**
   * Sends messages until the server closes the socket or the load stops. The result is the close
   * code, or a text for a wrong or missing echo.
   */
  async function exchangeMessages(socket: WebSocket): Promise<number | string> {
    const closed = new Promise<number>((done) => void socket.on('close', done))
    for (let number = 0; running; number += 1) {
      const echo = new Promise<string>((done) => {
        socket.once('message', (data) => done(String(data)))
      })
      socket.send(String(number))
      const outcome = await Promise.race([
        echo,
        closed,
        pause(ECHO_TIMEOUT_MS, 'no echo', { ref: false }),
      ])
      if (typeof outcome === 'number') return outcome
      if (outcome !== String(number)) return outcome
      await pause(SEND_INTERVAL_MS)
      if (socket.readyState !== WebSocket.OPEN) return closed
    }
    socket.close(1000)
    return Promise.race([closed, pause(ECHO_TIMEOUT_MS, 'no close', { ref: false })])
  }

  return {
    async stop() {
      running = false
      await Promise.all(loops)
      return { opened, restarted, lost }
    },
  }
}

/** Opens a WebSocket to the application. */
export async function openSocket(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`)
  await new Promise<void>((done, fail) => {
    socket.once('open', done)
    socket.once('error', fail)
  })
  // A 'close' event with the code follows every error.
  socket.on('error', () => {})
  return socket
}

/** Waits until an open WebSocket closes, and returns the close code. */
export function closeCodeOf(socket: WebSocket): Promise<number> {
  return new Promise((done) => void socket.on('close', done))
}
