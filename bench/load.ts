// Sends load to a server from the second processor, with wrk or our own generator, and reads the
// result.

import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from '../scripts/command.ts'
import { type Spoken, STREAMS } from './cases.ts'
import { compiled } from './compiled.ts'
import { LOAD_CPU, pinned } from './processors.ts'
import { urlOf } from './reach.ts'

export interface Load extends Spoken {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  readonly close: boolean
  readonly path: string
  /** Size of the JSON body of a POST in bytes; without it a GET. */
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

/** What is missing on this machine for the load of some cases, or nothing. */
export async function loadObstacle(
  generator: Generator,
  cases: readonly Spoken[],
): Promise<string | undefined> {
  if (generator === 'own' && cases.some(({ secure }) => secure === true)) {
    return 'the cases over TLS need wrk (Debian: apt-get install wrk); leave them out by --only'
  }
  if (cases.some(({ http2 }) => http2 === true)) {
    const { output } = await run('h2load', ['--version'], { show: false })
    if (!output.startsWith('h2load ')) {
      return (
        'HTTP/2 cases need h2load (Debian: apt-get install nghttp2-client); ' +
        'choose other cases with --only'
      )
    }
  }
  return undefined
}

/** Runs the load to its end; `cpu` is null where it may run on all processors. */
export async function drive(
  generator: Generator,
  load: Load,
  { cpu = LOAD_CPU }: { cpu?: number | null } = {},
): Promise<Seen> {
  const [program, ...args] = pinned(cpu, command(generator, load))
  // The script of wrk reads the size from here.
  const env = { ...process.env, JSON_BYTES: `${load.jsonBytes ?? 0}` }
  const { status, output } = await run(program ?? '', args, { show: false, env })
  const seen = status === 0 ? reader(generator, load)(output) : undefined
  if (seen === undefined) throw new Error(`the load generator failed: ${output}`)
  return seen
}

function reader(generator: Generator, load: Load): (output: string) => Seen | undefined {
  if (load.http2 === true) return (output) => readH2load(output, readFileSync(TIMES, 'utf8'))
  return generator === 'wrk' && load.messages === undefined ? readWrk : readOwn
}

function command(generator: Generator, load: Load): string[] {
  const { port, connections, seconds, close, path, jsonBytes, messages } = load
  if (messages !== undefined) {
    return [compiled('sockets'), `${port}`, `${connections}`, `${seconds}`, messages]
  }
  if (load.http2 === true) {
    rmSync(TIMES, { force: true })
    const many = [`-c${connections}`, `-m${STREAMS}`, `-D${seconds}`]
    return ['h2load', '-t1', ...many, `--log-file=${TIMES}`, `${urlOf(port, load)}${path}`]
  }
  if (generator === 'own') {
    if (jsonBytes !== undefined || path !== '/') {
      throw new Error('only wrk sends bodies and asks for other paths; leave this case out')
    }
    const mode = close ? 'close' : 'keep'
    return [compiled('load'), `${port}`, `${connections}`, `${seconds}`, mode]
  }
  const header = close ? ['-H', 'Connection: close'] : []
  const url = `${urlOf(port, load)}${path}`
  const script = jsonBytes === undefined ? [] : ['-s', POST]
  return ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...header, ...script, url]
}

/** Where h2load writes what each request took. */
const TIMES = join(ROOT, 'target', 'bench', 'times.txt')
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

/**
 * The figures of h2load: the sums from what it prints, the median from a line for each request
 * (start, status, us).
 */
export function readH2load(output: string, times: string): Seen | undefined {
  const rate = /^finished in [\d.]+m?s, ([\d.]+) req\/s/m.exec(output)
  const counts =
    /^requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored/m
  const counted = counts.exec(output)
  const good = /^status codes: (\d+) 2xx/m.exec(output)
  if (rate === null || counted === null || good === null) return undefined
  const requests = Number(counted[1])
  const us = times.split('\n').flatMap((line) => {
    const [, , took] = line.split('\t')
    return took === undefined ? [] : [Number(took)]
  })
  us.sort((a, b) => a - b)
  const at = (share: number) => us[Math.floor(us.length * share)] ?? Number.NaN
  return {
    requests,
    errors: Number(counted[2]) + requests - Number(good[1]),
    perSecond: Number(rate[1]),
    p50us: at(0.5),
    p99us: at(0.99),
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
