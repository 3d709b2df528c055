// Puts load on a server from the second processor, with wrk or with our own generator, and reads what it saw.

import { join } from 'node:path'
import { ROOT, run } from '../scripts/command.ts'
import { compiled } from './compiled.ts'
import { LOAD_CPU, pinned } from './processors.ts'

export interface Load {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  readonly close: boolean
  readonly path: string
  /** A POST of so many bytes of JSON; without it a GET. */
  readonly jsonBytes?: number | undefined
  /** What is sent in place of requests. */
  readonly messages?: 'ws' | 'socket.io' | undefined
}

export interface Seen {
  readonly requests: number
  readonly errors: number
  readonly perSecond: number
  readonly p50us: number
  readonly p99us: number
}

export type Generator = 'wrk' | 'own'

/** wrk where it is installed, since its figures are the ones that others know. */
export async function chooseGenerator(wanted: Generator | undefined): Promise<Generator> {
  if (wanted !== undefined) return wanted
  // wrk -v prints its name and ends with status 1.
  const { output } = await run('wrk', ['-v'], { show: false })
  return output.startsWith('wrk ') ? 'wrk' : 'own'
}

/** Runs the load to its end. */
export async function drive(generator: Generator, load: Load): Promise<Seen> {
  const [program, ...args] = pinned(LOAD_CPU, command(generator, load))
  // The script of wrk reads the size from here.
  const env = { ...process.env, JSON_BYTES: `${load.jsonBytes ?? 0}` }
  const { status, output } = await run(program ?? '', args, { show: false, env })
  const isWrk = generator === 'wrk' && load.messages === undefined
  const seen = status === 0 ? (isWrk ? readWrk(output) : readOwn(output)) : undefined
  if (seen === undefined) throw new Error(`the load generator failed: ${output}`)
  return seen
}

function command(generator: Generator, load: Load): string[] {
  const { port, connections, seconds, close, path, jsonBytes, messages } = load
  if (messages !== undefined) {
    return [compiled('sockets'), `${port}`, `${connections}`, `${seconds}`, messages]
  }
  if (generator === 'own') {
    if (jsonBytes !== undefined || path !== '/') {
      throw new Error('only wrk sends bodies and asks for other paths; leave this case out')
    }
    const mode = close ? 'close' : 'keep'
    return [compiled('load'), `${port}`, `${connections}`, `${seconds}`, mode]
  }
  const header = close ? ['-H', 'Connection: close'] : []
  const url = `http://127.0.0.1:${port}${path}`
  const script = jsonBytes === undefined ? [] : ['-s', POST]
  return ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...header, ...script, url]
}

const POST = join(ROOT, 'bench', 'post.lua')

/** The figures in the text that wrk prints. */
export function readWrk(output: string): Seen | undefined {
  const total = /(\d+) requests in ([\d.]+)(ms|s|m)/.exec(output)
  const p50 = /^\s*50%\s+([\d.]+)(us|ms|s)/m.exec(output)
  const p99 = /^\s*99%\s+([\d.]+)(us|ms|s)/m.exec(output)
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(output)
  if (total === null || p50 === null || p99 === null || rate === null) return undefined
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/
  const failures = [...(socketErrors.exec(output)?.slice(1) ?? [])].map(Number)
  const refusals = Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0)
  return {
    requests: Number(total[1]),
    errors: failures.reduce((sum, count) => sum + count, refusals),
    perSecond: Number(rate[1]),
    p50us: microseconds(p50),
    p99us: microseconds(p99),
  }
}

function readOwn(output: string): Seen {
  const { requests, errors, seconds, p50us, p99us } = JSON.parse(output)
  return { requests, errors, perSecond: requests / seconds, p50us, p99us }
}

function microseconds(match: RegExpExecArray): number {
  const factor = match[2] === 's' ? 1e6 : match[2] === 'ms' ? 1e3 : 1
  return Number(match[1]) * factor
}
