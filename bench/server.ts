// One measured server: a process on the server's processor, started, awaited and stopped here.

import { type ChildProcess, spawn } from 'node:child_process'
import { CASES, type EngineName, type Subject, subjectKey } from './cases.ts'
import { compiled } from './compiled.ts'
import { findBun, type NodeBinary } from './nodes.ts'
import { pinned, SERVER_CPU } from './processors.ts'
import { answers } from './reach.ts'
import { type Identity, materialOf } from './secure.ts'

const START_TIMEOUT_MS = 15_000

export interface Server {
  readonly subject: Subject
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly node: NodeBinary
  /** The settings that an engine gets, complete. */
  readonly config: Readonly<Record<string, unknown>> | null
  /** What servers show that speak TLS. */
  readonly identity: Identity | null
}

/** The servers without JavaScript: a program, and what follows its port. */
const ALONE: Partial<Record<EngineName, readonly [string, ...string[]]>> = {
  floor: ['floor'],
  crate: ['engine'],
  hyper: ['hyper'],
}

/** Starts the server of a subject and waits until it answers. */
export async function startServer(
  subject: Subject,
  port: number,
  { node, config, identity }: ServerOptions,
): Promise<Server> {
  const { app, settings, http2 = false, secure } = CASES[subject.name]
  const { engine } = subject
  const alone = ALONE[engine]
  if (alone !== undefined) {
    const [program, ...args] = alone
    return await startProcess([compiled(program), `${port}`, ...args], port, subject)
  }
  // Bun runs the program that node:http runs.
  const [program, served] =
    engine === 'bun' ? [await findBun(), 'plain'] : ([node.path, engine] as const)
  const protocols = http2 ? 'h2' : 'h1'
  const shown = secure === true ? identity : null
  const options = JSON.stringify({
    ...{ engine: served, app, port, http2 },
    config: { ...config, ...settings, http_protocols: protocols },
    identity: shown,
    tls: shown === null ? null : materialOf(shown, protocols),
  })
  const command = [program, compiled('serve.js'), options]
  return await startProcess(command, port, subject)
}

/**
 * Starts any program that will listen on a port; `cpu` is null where it may run on all processors.
 */
export async function startProcess(
  command: readonly string[],
  port: number,
  subject: Subject,
  { cpu = SERVER_CPU }: { cpu?: number | null } = {},
): Promise<Server> {
  const [program, ...args] = pinned(cpu, command)
  const env = { ...process.env, PORT: `${port}`, NODE_ENV: 'production' }
  const child = spawn(program ?? '', args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk).slice(-4000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await answers(port, CASES[subject.name]))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`${subjectKey(subject)} does not serve:\n${output}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  // taskset becomes the program that it starts, so this is the server's process id.
  return { subject, port, pid: child.pid ?? 0, stop: () => stop(child) }
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), 3000)
  return ended.finally(() => clearTimeout(kill))
}
