// Starts the command with a directory of its own for control sockets, and runs `monoceros ctl`.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import {
  appSource,
  type Program,
  type ProgramOptions,
  serveArgs,
  startProgram,
} from '../process/program.ts'
import { temporaryDirectory } from '../temporary.ts'

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface CtlOutcome {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** A server, and the directory that `ctl` finds it in. */
export interface Controlled {
  readonly program: Program
  readonly runtime: string
  /** Runs `monoceros ctl` with these words; `input` is its standard input. */
  ctl(words: string, input?: string): Promise<CtlOutcome>
  /** The data that a command answers with. */
  // biome-ignore lint/suspicious/noExplicitAny: each command has data of another type.
  ask(words: string): Promise<any>
  /** Names of the sockets in the directory. */
  sockets(): string[]
}

/** Starts a server with this number of workers. */
export async function startControlled(
  t: ExecutionContext,
  { workers = 1, args = [], ...options }: ProgramOptions & { readonly workers?: number } = {},
): Promise<Controlled> {
  const runtime = temporaryDirectory('control')
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', String(workers), ...args),
    ...options,
    env: { ...options.env, XDG_RUNTIME_DIR: runtime, TMPDIR: runtime },
  })
  await program.ready(workers)
  const ctl = (words: string, input = '') =>
    runMonoceros(['ctl', ...words.split(' ').filter(Boolean)], { runtime, input })
  return {
    program,
    runtime,
    ctl,
    ask: async (words) => JSON.parse((await ctl(`-j ${words}`)).out),
    sockets: () => readdirSync(join(runtime, 'monoceros')),
  }
}

/** Runs the command to its end. */
export function runMonoceros(
  argv: readonly string[],
  { runtime, input = '' }: { readonly runtime: string; readonly input?: string },
): Promise<CtlOutcome> {
  const child = spawn(process.execPath, [MAIN, ...argv], {
    env: { ...process.env, NODE_OPTIONS: '', XDG_RUNTIME_DIR: runtime, TMPDIR: runtime },
  })
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    texts.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    texts.err += text
  })
  child.stdin.end(input)
  return new Promise((done) => child.on('close', (status) => done({ status, ...texts })))
}
