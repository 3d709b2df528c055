/** Clients that leave at any point, and a program that does everything they may leave in. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import net from 'node:net'
import { type Duplex, pipeline } from 'node:stream'

/** What the program has seen of its requests. */
export interface Seen {
  requests: number
  /** Responses that emitted 'close': in the end as many as there were requests. */
  closed: number
  readonly errors: unknown[]
}

const BIG = Buffer.alloc(300_000, 'b')

/**
 * Answers by path: at once, later, in pieces, at length, with what was sent, or not before its
 * client has left.
 */
export function abortedProgram(seen: Seen): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    seen.requests++
    res.on('close', () => seen.closed++)
    res.on('error', (error) => seen.errors.push(error))
    switch (req.url) {
      case '/now':
        return void res.end('now')
      case '/later':
        return void setTimeout(() => res.end('later'), 2)
      case '/pieces':
        return inPieces(res, 5)
      case '/big':
        return void res.end(BIG)
      case '/echo':
        return void pipeline(req, res, () => {})
      case '/read':
        req.on('error', () => {})
        return void req.resume().on('end', () => res.end('read'))
      default:
        return void req.socket.on('close', () => res.end())
    }
  }
}

/**
 * Takes a connection over and sends back what comes, or a lot, or nothing; counted as the requests
 * are.
 */
export function abortedUpgrade(seen: Seen): (req: IncomingMessage, socket: Duplex) => void {
  let turn = 0
  return (_req, socket) => {
    seen.requests++
    socket.on('close', () => seen.closed++)
    // The client disconnects. Without a listener of the program, Node ignores the error too.
    socket.on('error', () => {})
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    const kind = turn++ % 4
    if (kind === 0) socket.pipe(socket)
    if (kind === 1) socket.end(BIG)
    if (kind === 2) setTimeout(() => socket.write('later'), 2)
    if (kind !== 0) socket.resume().on('end', () => socket.end())
  }
}

function inPieces(res: ServerResponse, left: number): void {
  if (left === 0 || res.destroyed) return void res.end()
  res.write('a piece of an answer')
  setTimeout(inPieces, 1, res, left - 1)
}

const PATHS = ['/now', '/later', '/pieces', '/big', '/echo', '/read', '/never']

/** Repeats for the same seed, so that a failure can be reproduced. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    // xorshift
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/**
 * One client: sends a request up to some point, then disconnects, with or without a reset.
 */
export function abortOnce(
  port: number,
  random: () => number,
  { mostBody, upgrades }: Pick<Aborting, 'mostBody' | 'upgrades'>,
): Promise<void> {
  const upgrade = random() < upgrades
  const path = PATHS[Math.floor(random() * PATHS.length)] ?? '/now'
  const body = random() < 0.5 ? '' : 'x'.repeat(Math.floor(random() * mostBody))
  const method = body === '' || upgrade ? 'GET' : 'POST'
  const head = `${method} ${path} HTTP/1.1\r\nHost: a\r\n`
  // What follows an upgrade is the program's.
  const fields = upgrade
    ? 'Connection: Upgrade\r\nUpgrade: x\r\n'
    : `${body === '' ? '' : `Content-Length: ${body.length}\r\n`}`
  const whole = `${head}${fields}\r\n${body}`
  // A third in the head, a third in the body or at its end, a third with a second request after it.
  const kind = random()
  const end = kind < 0.33 ? Math.floor(random() * head.length) : Math.floor(random() * whole.length)
  const sent = kind < 0.66 ? whole.slice(0, end) : whole + whole
  const whenReceived = random() < 0.4
  const delay = random() < 0.5 ? 0 : Math.floor(random() * 8)
  const reset = random() < 0.5
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    const leave = (): void => {
      if (reset) socket.resetAndDestroy()
      else socket.destroy()
    }
    socket.on('connect', () => {
      socket.write(sent)
      if (whenReceived) socket.once('data', () => setTimeout(leave, delay))
      // A client that waits for a response that cannot come disconnects all the same.
      setTimeout(leave, whenReceived ? 30 : delay)
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve())
  })
}

export interface Aborting {
  readonly count: number
  readonly atOnce: number
  readonly seed: number
  readonly mostBody: number
  /** The share of clients that ask for another protocol. */
  readonly upgrades: number
}

/** Runs a number of clients, some of them at the same time. */
export async function abortMany(
  port: number,
  { count, atOnce, seed, mostBody, upgrades }: Aborting,
): Promise<void> {
  const random = randomOf(seed)
  let left = count
  const one = async (): Promise<void> => {
    while (left-- > 0) await abortOnce(port, random, { mostBody, upgrades })
  }
  await Promise.all(Array.from({ length: atOnce }, one))
}
