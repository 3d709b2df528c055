// Runs the real command in a directory of its own, reads its log, sends it signals. Tests wait for
// lines and answers.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import { native } from '../../ts/native/index.ts'
import { usesProgram } from '../uses.ts'

/** The engines that this machine has. */
export const ENGINES = native === null ? (['node'] as const) : (['node', 'native'] as const)

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const BUILT = join(ROOT, 'dist/cli/main.js')
const TSX = new URL('../../node_modules/tsx/dist/esm/index.mjs', import.meta.url).href

// `npm test` builds first, and what is built starts five times as fast.
const COMMAND = existsSync(BUILT) ? [BUILT] : ['--import', TSX, join(ROOT, 'ts/cli/main.ts')]

/** Waits until a client is let in at a port of this machine, or at a path. */
export async function someoneListens(at: { port: number } | { path: string }): Promise<void> {
  const isOpen = () =>
    new Promise<true | undefined>((done) => {
      const socket = connect(at, () => done(socket.destroy() && true))
      socket.on('error', () => done(undefined))
    })
  await until(isOpen, 'a listener')
}

/** Long enough for a loaded machine with two cores; no test waits for it unless it fails. */
const WAIT_MS = 30_000

export interface ProgramOptions {
  readonly files?: Record<string, string>
  readonly args?: readonly string[]
  /** Of Node, before the command. */
  readonly flags?: readonly string[]
  readonly env?: Record<string, string>
  /** What runs the command, instead of nothing. */
  readonly command?: readonly string[]
  /** The command's script, when it is not the one of this tree. */
  readonly entry?: string
  /** What else the directory needs before the program starts. */
  readonly prepare?: (directory: string) => void
  /** Descriptors for 3, 4, ... in the program. */
  readonly inherit?: readonly number[]
}

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: http.IncomingHttpHeaders
}

/** An application that responds with its worker and version. */
export function appSource(version: string): string {
  return `module.exports = (req, res) => {
    const [, name, ms] = req.url.split('/')
    if (name === 'block') { const end = Date.now() + Number(ms); while (Date.now() < end); }
    if (name === 'exit') process.exit(Number(ms))
    if (name === 'throw') throw new Error('thrown by a handler')
    if (name === 'reject') return Promise.reject(new Error('rejected by a handler'))
    const { pid, env: { GREETING } } = process
    const body = { version: ${JSON.stringify(version)}, pid, env: GREETING }
    const answer = () => res.end(JSON.stringify(body))
    if (name === 'held') console.error('A request is held')
    if (name === 'slow' || name === 'held') setTimeout(answer, Number(ms))
    else answer()
  }`
}

/** As on a platform without a binary. */
export const WITHOUT_ADDON = {
  files: {
    'hide.cjs': `const Module = require('node:module')
const load = Module._load
Module._load = function (request, ...more) {
  if (request.endsWith('/binding.cjs')) throw new Error('hidden')
  return load.call(this, request, ...more)
}
`,
  },
  env: { NODE_OPTIONS: '--require ./hide.cjs' },
}

export class Program {
  readonly directory: string
  readonly child: ChildProcess
  readonly exited: Promise<number | string | null>
  /** The signals that `signal` has sent. */
  readonly signals: NodeJS.Signals[] = []
  log = ''
  #read = 0
  #port = 0

  constructor(directory: string, options: ProgramOptions) {
    this.directory = directory
    const [file = process.execPath, ...args] = [
      ...(options.command ?? []),
      process.execPath,
      ...(options.flags ?? []),
      ...(options.entry === undefined ? COMMAND : [options.entry]),
      ...(options.args ?? []),
    ]
    this.child = spawn(file, args, {
      cwd: directory,
      env: { ...process.env, NODE_OPTIONS: '', ...options.env },
      stdio: ['ignore', 'ignore', 'pipe', ...(options.inherit ?? [])],
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log += text
    })
    this.exited = new Promise((done) => {
      this.child.on('exit', (code, signal) => done(code ?? signal))
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Waits for a line that was not waited for before; the result is the match. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const match = await until(() => {
      const found = new RegExp(pattern, 'm').exec(this.log.slice(this.#read))
      if (found === null && this.child.exitCode !== null && this.child.stderr?.readableEnded) {
        throw new Error(`the program has ended without a line like ${pattern}`)
      }
      return found
    }, `a line like ${pattern}`).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.log}`)
    })
    this.#read += match.index + match[0].length
    // Without the addon the workers listen, and none does yet when the arbiter logs the address.
    if (native === null && match[0].startsWith('Listening at')) {
      const port = /:(\d+)\D*$/.exec(match[0])?.[1]
      if (port !== undefined) await someoneListens({ port: Number(port) })
    }
    return match
  }

  /** Sends a signal to the arbiter, or to one of its workers. */
  signal(signal: NodeJS.Signals, pid = this.pid): void {
    this.signals.push(signal)
    process.kill(pid, signal)
  }

  /** Waits until the address is open and a number of workers are ready. */
  async ready(workers: number): Promise<this> {
    const match = await this.line(/Listening at: http:\/\/127\.0\.0\.1:(\d+)/)
    this.#port = Number(match[1])
    for (let count = 0; count < workers; count += 1) await this.line(/Worker ready/)
    return this
  }

  get port(): number {
    return this.#port
  }

  get(path = '/'): Promise<Answer> {
    return get({ port: this.#port, path })
  }

  /** The JSON that `appSource` answers. */
  async who(path = '/'): Promise<{ version: string; pid: number; env?: string }> {
    return JSON.parse((await this.get(path)).body)
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.directory, name), text)
  }

  /** The processes that this one has started and that live. */
  workers(): number[] {
    return childrenOf(this.pid)
  }
}

/** Starts the command with an application; it is ended after the test whatever happened. */
export function startProgram(t: ExecutionContext, options: ProgramOptions): Program {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-process-'))
  for (const [name, text] of Object.entries(options.files ?? {})) {
    writeFileSync(join(directory, name), text)
  }
  options.prepare?.(directory)
  const program = new Program(directory, options)
  t.teardown(async () => {
    const children = program.child.exitCode === null ? program.workers() : []
    for (const pid of [program.pid, ...children]) killQuietly(pid)
    await program.exited
    rmSync(directory, { recursive: true, force: true })
  })
  const { args = [], env = {} } = options
  usesProgram(t, { start: { args, env, directory }, program })
  return program
}

/** The usual command line: an application on a port that the system chooses. */
export function serveArgs(engine: string, ...more: string[]): string[] {
  return ['app.cjs', '-b', '127.0.0.1:0', '--engine', engine, '--log-level', 'debug', ...more]
}

export function get(options: http.RequestOptions): Promise<Answer> {
  return new Promise((done, fail) => {
    const request = http.get({ host: '127.0.0.1', agent: false, ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => {
        done({ status: response.statusCode ?? 0, body, headers: response.headers })
      })
      response.on('error', fail)
    })
    request.on('error', fail)
    request.setTimeout(WAIT_MS, () => request.destroy(new Error(`no answer to ${options.path}`)))
  })
}

/** Asks again and again, in short steps, until there is a truthy result. */
export async function until<T>(
  ask: () => T | Promise<T>,
  what: string,
  limitMs = WAIT_MS,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + limitMs
  for (;;) {
    const result = await ask()
    if (result) return result
    if (Date.now() > deadline) throw new Error(`waited ${limitMs} ms in vain for ${what}`)
    await new Promise((done) => setTimeout(done, 20))
  }
}

export function isAlive(pid: number): boolean {
  try {
    // A zombie is dead as well.
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** The children of `parent`, with or without zombies. */
export function childrenOf(parent: number, zombies = false): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return Number(ppid) === parent && (zombies || state !== 'Z')
      } catch {
        // It has ended while we looked.
        return false
      }
    })
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
