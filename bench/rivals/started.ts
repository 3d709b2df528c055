// A rival that has been started: all its processes, what they use, and their end.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { ROOT, run } from '../../scripts/command.ts'
import { pinned, processorTimeUs } from '../processors.ts'
import type { Installed, Rival } from './table.ts'

const START_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 5_000
/** The environment variable by which the processes of a rival are found, also those of a daemon. */
const MARK = 'BENCH_RIVAL'

export interface StartOptions {
  readonly port: number
  readonly workers: number
  /** The processor that it may use; null for all. */
  readonly cpu: number | null
}

export class StartedRival {
  readonly rival: Rival
  readonly port: number
  /** From the start to the first response, in milliseconds. */
  startMs = Number.NaN
  readonly #where: Installed
  readonly #mark: string
  readonly #options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }
  readonly #child: ChildProcess
  #output = ''

  constructor(rival: Rival, where: Installed, { port, workers, cpu }: StartOptions) {
    this.rival = rival
    this.port = port
    this.#where = where
    this.#mark = `${MARK}=${process.pid}-${port}`
    const [name = '', value = ''] = this.#mark.split('=')
    const env = {
      ...process.env,
      ...{ [name]: value, PORT: `${port}`, WORKERS: `${workers}`, DENO_JOBS: `${workers}` },
      ...{ NODE_ENV: 'production', PM2_HOME: `${where.npm}/pm2-${port}`, HOST: '127.0.0.1' },
    }
    this.#options = { cwd: rival.folder?.(where) ?? ROOT, env }
    const [program = '', ...args] = pinned(cpu, rival.command(where, port, workers))
    this.#child = spawn(program, args, { ...this.#options, stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk).slice(-4_000)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
  }

  /** Starts a rival and waits for its first response. */
  static async start(rival: Rival, where: Installed, options: StartOptions) {
    const startedAt = performance.now()
    const started = new StartedRival(rival, where, options)
    while (!(await responds(options.port))) {
      if (started.#child.exitCode !== null || performance.now() - startedAt > START_LIMIT_MS) {
        await started.stop()
        throw new Error(`${rival.name} does not serve:\n${started.#output}`)
      }
      await pause(5)
    }
    started.startMs = performance.now() - startedAt
    return started
  }

  /** Replaces its workers, without waiting for the new ones. */
  async reload(): Promise<void> {
    const { reload } = this.rival
    if (typeof reload === 'string') this.#child.kill(reload)
    if (typeof reload !== 'function') return
    const [program = '', ...args] = reload(this.#where)
    const { status, output } = await run(program, args, { ...this.#options, show: false })
    if (status !== 0) throw new Error(`the reload of ${this.rival.name} failed:\n${output}`)
  }

  /** The processor time of all its processes so far, in microseconds. */
  processorTimeUs(): number {
    return sum(this.#processes(), processorTimeUs)
  }

  /** The memory of all its processes, each shared page divided by those that share it, in bytes. */
  memoryBytes(): number {
    return sum(this.#processes(), (pid) => {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
      return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024
    })
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    const deadline = performance.now() + STOP_LIMIT_MS
    while (this.#processes().length > 0 && performance.now() < deadline) await pause(50)
    for (const pid of this.#processes()) kill(pid)
  }

  #processes(): number[] {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return all.map(Number).filter((pid) => environment(pid).includes(this.#mark))
  }
}

function environment(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  } catch {
    // The process has exited, or belongs to another user.
    return []
  }
}

function sum(pids: readonly number[], measure: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + ifAlive(() => measure(pid)), 0)
}

function ifAlive(measure: () => number): number {
  try {
    return measure()
  } catch {
    return 0
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has exited meanwhile.
  }
}

/** Whether a server responds to a request. */
export function responds(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(2_000, () => socket.destroy())
    socket.on('connect', () => {
      socket.write('GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n')
    })
    socket.on('data', (data: Buffer) => {
      done(data.toString('latin1').startsWith('HTTP/1.1 200'))
      socket.destroy()
    })
    socket.on('error', () => done(false))
    socket.on('close', () => done(false))
  })
}
