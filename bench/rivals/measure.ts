// What is measured of each rival.

import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { drive, type Seen } from '../load.ts'
import type { Plan } from '../options.ts'
import { SERVER_CPU } from '../processors.ts'
import { answers } from '../reach.ts'
import { StartedRival } from './started.ts'
import { type Installed, RIVALS, type Rival } from './table.ts'

export interface Cost {
  readonly rival: string
  readonly connections: number
  readonly round: number
  /** Processor time of a request in all processes of the server, in microseconds. */
  readonly us: number
  readonly seen: Seen
}

export interface Behavior {
  readonly rival: string
  readonly startMs: number
  readonly memoryBytes: number
  /** Requests during two reloads, and those of them that failed; undefined without a reload. */
  readonly reload: { readonly requests: number; readonly failed: number } | undefined
  readonly slow: SlowClients
}

export interface SlowClients {
  /** Ordinary requests beside the slow clients, and those that got their response in time. */
  readonly asked: number
  readonly answered: number
  /** The longest wait of an ordinary request, in milliseconds. */
  readonly worstMs: number
  /** What the server's memory grew by, in bytes. */
  readonly grownBytes: number
}

const FIRST_PORT = 19_600
const FIRST_BEHAVIOR_PORT = 19_650
const WORKERS = 2
const RELOAD = { connections: 16, seconds: 8, firstMs: 1_500, secondMs: 4_500 }
const SLOW = { clients: 500, seconds: 10, byteEveryMs: 2_000, askEveryMs: 100 }

/** Processor time and latency of one worker on a processor of its own, round by round. */
export async function measureCosts(
  rivals: readonly Rival[],
  where: Installed,
  plan: Plan,
): Promise<Cost[]> {
  const costs: Cost[] = []
  const started: StartedRival[] = []
  try {
    for (const rival of rivals) {
      const port = FIRST_PORT + started.length
      const server = await StartedRival.start(rival, where, { port, workers: 1, cpu: SERVER_CPU })
      started.push(server)
      await load(server.port, 64, 2)
    }
    for (const connections of plan.connections) {
      for (let round = 0; round < plan.rounds; round += 1) {
        for (const server of started) {
          const before = server.processorTimeUs()
          const seen = await load(server.port, connections, plan.seconds)
          const us = (server.processorTimeUs() - before) / seen.requests
          costs.push({ rival: server.rival.name, connections, round, us, seen })
          console.log(`${connections} #${round + 1} ${us.toFixed(2)} us ${server.rival.name}`)
        }
      }
    }
  } finally {
    for (const server of started) await server.stop()
  }
  return costs
}

/** Start, memory, reloads and slow clients of two workers on all processors. */
export async function measureBehavior(rival: Rival, where: Installed): Promise<Behavior> {
  // A port of its own: connections of the rival before may still be closing.
  const port = FIRST_BEHAVIOR_PORT + RIVALS.indexOf(rival)
  const options = { port, workers: WORKERS, cpu: null }
  const server = await StartedRival.start(rival, where, options)
  try {
    await load(port, 64, 3)
    const memoryBytes = server.memoryBytes()
    const slow = await besideSlowClients(server)
    const reload = rival.reload === undefined ? undefined : await duringReloads(server)
    return { rival: rival.name, startMs: server.startMs, memoryBytes, reload, slow }
  } finally {
    await server.stop()
  }
}

async function duringReloads(server: StartedRival) {
  const { connections, seconds, firstMs, secondMs } = RELOAD
  const [seen] = await Promise.all([
    load(server.port, connections, seconds, { cpu: null }),
    pause(firstMs).then(() => server.reload()),
    pause(secondMs).then(() => server.reload()),
  ])
  return { requests: seen.requests, failed: seen.errors }
}

/** Clients that send a byte of their head now and then, and an ordinary one beside them. */
async function besideSlowClients(server: StartedRival): Promise<SlowClients> {
  const before = server.memoryBytes()
  const slow = Array.from({ length: SLOW.clients }, () => slowClient(server.port))
  await pause(500)
  let [asked, answered, worstMs] = [0, 0, 0]
  const requests: Promise<void>[] = []
  const endsAt = performance.now() + SLOW.seconds * 1_000
  while (performance.now() < endsAt) {
    asked += 1
    const sentAt = performance.now()
    const request = answers(server.port, {}).then((isAnswered) => {
      if (isAnswered) answered += 1
      worstMs = Math.max(worstMs, performance.now() - sentAt)
    })
    requests.push(request)
    await pause(SLOW.askEveryMs)
  }
  await Promise.all(requests)
  const grownBytes = server.memoryBytes() - before
  for (const stop of slow) stop()
  return { asked, answered, worstMs, grownBytes }
}

function slowClient(port: number): () => void {
  const socket: Socket = connect(port, '127.0.0.1', () => {
    socket.write('GET / HTTP/1.1\r\nHost: bench\r\nX-Slow: ')
  })
  const timer = setInterval(() => socket.write('x'), SLOW.byteEveryMs)
  socket.on('error', () => {})
  socket.on('close', () => clearInterval(timer))
  return () => socket.destroy()
}

function load(
  port: number,
  connections: number,
  seconds: number,
  options?: { readonly cpu: null },
): Promise<Seen> {
  return drive('wrk', { port, connections, seconds, close: false, path: '/' }, options)
}
