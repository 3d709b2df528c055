// Clients of scripts/secure.ts in a process of their own, so that what they cost holds up no request that is measured:
// `tsx scripts/secure-crowd.ts stalled|whole PORT TOTAL OPEN`. Prints what became of them as JSON.

import { connect } from 'node:net'
import tls from 'node:tls'

export interface Crowd {
  readonly done: number
  readonly failed: number
  /** The most that were open at once. */
  readonly most: number
  /** How long the first and the last that was cut had been open. */
  readonly cutMs: readonly [number, number]
}

/** A connection that has its handshake is kept for so long. */
const HOLD_MS = 8_000
const HELLO = Buffer.from([22, 3, 1, 2, 0, 1, 0])

const [kind = '', port = '', total = '', open = ''] = process.argv.slice(2)
const cuts: number[] = []
let [done, failed, now, most] = [0, 0, 0, 0]

/** Begins a handshake and does not go on. */
function stall(): Promise<void> {
  return new Promise((resolve) => {
    let begun = Date.now()
    const socket = connect(Number(port), '127.0.0.1', () => {
      begun = Date.now()
      socket.write(HELLO)
    })
    socket.resume()
    socket.on('error', () => {})
    socket.on('close', () => {
      done += 1
      cuts.push(Date.now() - begun)
      resolve()
    })
  })
}

function shake(): Promise<void> {
  return new Promise((resolve) => {
    let isDone = false
    const options = { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }
    const socket = tls.connect(options, () => {
      isDone = true
      setTimeout(() => socket.destroy(), HOLD_MS)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (isDone) done += 1
      else failed += 1
      resolve()
    })
  })
}

let left = Number(total)
async function client(): Promise<void> {
  while (left > 0) {
    left -= 1
    now += 1
    most = Math.max(most, now)
    await (kind === 'stalled' ? stall() : shake())
    now -= 1
  }
}
await Promise.all(Array.from({ length: Number(open) }, client))
cuts.sort((a, b) => a - b)
const crowd: Crowd = { done, failed, most, cutMs: [cuts[0] ?? 0, cuts.at(-1) ?? 0] }
console.log(JSON.stringify(crowd))
