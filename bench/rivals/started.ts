// A rival that has been started: all its processes, what they use, and their end.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { ROOT, run } from '../../scripts/command.ts'
import { pinned, processorTimeUs } from '../processors.ts'
import { answers } from '../reach.ts'
import { type Started, until } from '../started.ts'
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

export class StartedRival implements Started {
  readonly rival: Rival
  readonly port: number
  /** From the start to the first response, in milliseconds. */
  startMs = Number.NaN
  readonly #where: Installed
  readonly #mark: string
  readonly #options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }
  readonly child: ChildProcess
  log = ''

  constructor(rival: Rival, where: Installed, { port, workers, cpu }: StartOptions) {
    this.rival = rival
    this.port = port
    this.#where = where
    const mark = `${process.pid}-${port}`
    this.#mark = `${MARK}=${mark}`
    const env = {
      ...process.env,
      ...{ [MARK]: mark, PORT: `${port}`, WORKERS: `${workers}`, DENO_JOBS: `${workers}` },
      ...{ NODE_ENV: 'production', PM2_HOME: `${where.npm}/pm2-${port}`, HOST: '127.0.0.1' },
    }
    this.#options = { cwd: rival.folder?.(where) ?? ROOT, env }
    const [program = '', ...args] = pinned(cpu, rival.command(where, port, workers))
    this.child = spawn(program, args, { ...this.#options, stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (chunk: Buffer) => {
      this.log = (this.log + chunk).slice(-4_000)
    }
    this.child.stdout?.on('data', keep)
    this.child.stderr?.on('data', keep)
  }

  /** Starts a rival and waits for its first response. */
  static async start(rival: Rival, where: Installed, options: StartOptions) {
    const startedAt = performance.now()
    const started = new StartedRival(rival, where, options)
    const isServing = () => answers(options.port, {})
    try {
      await until(isServing, started, { limitMs: START_LIMIT_MS, pollMs: 5 })
    } catch (error) {
      await started.stop()
      throw new Error(`${rival.name} does not start`, { cause: error })
    }
    started.startMs = performance.now() - startedAt
    return started
  }

  /** Replaces its workers, without waiting for the new ones. */
  async reload(): Promise<void> {
    const { reload } = this.rival
    if (typeof reload === 'string') this.child.kill(reload)
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
    this.child.kill('SIGTERM')
    const deadline = performance.now() + STOP_LIMIT_MS
    while (this.#processes().length > 0 && performance.now() < deadline) await pause(50)
    for (const pid of this.#processes()) ifAlive(() => process.kill(pid, 'SIGKILL'))
  }

  #processes(): number[] {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return all.map(Number).filter((pid) => environment(pid).includes(this.#mark))
  }
}

function environment(pid: number): readonly string[] {
  return ifAlive(() => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')) ?? []
}

function sum(pids: readonly number[], measure: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + (ifAlive(() => measure(pid)) ?? 0), 0)
}

/** What an action on a process returns; undefined if that has exited or is another user's. */
function ifAlive<Result>(act: () => Result): Result | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
