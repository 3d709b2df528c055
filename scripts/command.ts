// Runs other programs for the scripts of this folder, and shows their output, returns it, or both.

import { type SpawnOptions, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The root folder of the repository, without a trailing slash. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

export interface CommandResult {
  readonly status: number
  readonly output: string
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Whether the output is also written to the terminal as it arrives. Default: true. */
  readonly show?: boolean
  /** Time limit in seconds, after which the program is killed. Default: none. */
  readonly seconds?: number
}

/** Runs a program until it exits. The status is 127 if it cannot be started, as in a shell. */
export function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { cwd = ROOT, env = process.env, show = true, seconds } = options
  const spawnOptions: SpawnOptions = { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }
  if (seconds !== undefined)
    Object.assign(spawnOptions, { timeout: seconds * 1_000, killSignal: 'SIGKILL' })
  return new Promise((resolve) => {
    const child = spawn(program, args, spawnOptions)
    const chunks: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (show) process.stdout.write(chunk)
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (show) process.stderr.write(chunk)
    })
    child.once('error', (error) => resolve({ status: 127, output: error.message }))
    child.once('close', (status) =>
      resolve({ status: status ?? 1, output: Buffer.concat(chunks).toString() }),
    )
  })
}

/** Runs a program of a dependency (`node_modules/.bin`). */
export function runBin(name: string, args: readonly string[], options: CommandOptions = {}) {
  return run(`${ROOT}/node_modules/.bin/${name}`, args, options)
}

export interface StartedCommand {
  readonly pid: number
  readonly port: number
  /** Everything that the command has logged so far. */
  log(): string
  stop(): Promise<void>
}

/** Starts the built command on a free port and waits until a worker is ready. */
export async function startCommand(
  cwd: string,
  args: readonly string[],
  { node = process.execPath, wrap = [] }: { node?: string; wrap?: readonly string[] } = {},
): Promise<StartedCommand> {
  const own = ['--bind', '127.0.0.1:0', '--log-level', 'debug']
  const [program = node, ...rest] = [...wrap, node, `${ROOT}/dist/cli/main.js`, ...args, ...own]
  const child = spawn(program, rest, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let text = ''
  const port = await new Promise<number>((resolve, reject) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk
      const found = /Listening at: https?:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]
      if (found !== undefined && text.includes('Worker ready')) resolve(Number(found))
    })
    child.once('exit', () =>
      reject(new Error(`the command exited before a worker was ready:\n${text}`)),
    )
  })
  return {
    pid: child.pid ?? 0,
    port,
    log: () => text,
    async stop() {
      child.kill()
      await exited
    },
  }
}

/** Whether Node was started with this module as its main program. */
export function isMain(moduleUrl: string): boolean {
  return process.argv[1] !== undefined && fileURLToPath(moduleUrl) === process.argv[1]
}
