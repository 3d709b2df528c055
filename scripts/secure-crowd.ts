// Clients of scripts/secure.ts, in a process of their own so that they do not delay the measured
// requests. The script prints their results as JSON.
// Usage: `tsx scripts/secure-crowd.ts stalled|complete PORT TOTAL OPEN`.

import { connect } from 'node:net'
import tls from 'node:tls'

/** Results of a group of clients. */
export interface Crowd {
  readonly done: number
  readonly failed: number
  /** Largest number of connections that were open at the same time. */
  readonly maxOpen: number
  /** Shortest and longest time until the server closed a connection, in milliseconds. */
  readonly closedMs: readonly [number, number]
}

/** How long a connection stays open after its handshake, in milliseconds. */
const KEEP_OPEN_MS = 8_000
/** First bytes of a TLS record of 512 bytes with a ClientHello; the rest is never sent. */
const PARTIAL_HELLO = Buffer.from([22, 3, 1, 2, 0, 1, 0])

const [kind = '', port = '', total = '', open = ''] = process.argv.slice(2)
const closeTimes: number[] = []
let [done, failed, openNow, maxOpen] = [0, 0, 0, 0]

/** Starts a handshake and stalls; resolves when the server closes the connection. */
function stallHandshake(): Promise<void> {
  return new Promise((resolve) => {
    let startedAt = Date.now()
    const socket = connect(Number(port), '127.0.0.1', () => {
      startedAt = Date.now()
      socket.write(PARTIAL_HELLO)
    })
    socket.resume()
    socket.on('error', () => {})
    socket.on('close', () => {
      done += 1
      closeTimes.push(Date.now() - startedAt)
      resolve()
    })
  })
}

/** Completes a handshake and closes the connection after a pause. */
function completeHandshake(): Promise<void> {
  return new Promise((resolve) => {
    let isHandshakeDone = false
    const options = { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }
    const socket = tls.connect(options, () => {
      isHandshakeDone = true
      setTimeout(() => socket.destroy(), KEEP_OPEN_MS)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (isHandshakeDone) done += 1
      else failed += 1
      resolve()
    })
  })
}

let remaining = Number(total)
async function runClients(): Promise<void> {
  while (remaining > 0) {
    remaining -= 1
    openNow += 1
    maxOpen = Math.max(maxOpen, openNow)
    await (kind === 'stalled' ? stallHandshake() : completeHandshake())
    openNow -= 1
  }
}
await Promise.all(Array.from({ length: Number(open) }, runClients))
closeTimes.sort((a, b) => a - b)
const crowd: Crowd = {
  done,
  failed,
  maxOpen,
  closedMs: [closeTimes[0] ?? 0, closeTimes.at(-1) ?? 0],
}
console.log(JSON.stringify(crowd))
