/**
 * The prompt of `monoceros ctl` without a command, with history and completion. Without a terminal
 * it reads one command a line.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'

import { sendCommand } from '../../control/client.ts'
import { MonocerosError } from '../../errors.ts'
import { system } from '../../process/system.ts'
import { printToStdout } from '../print.ts'
import type { CtlArguments } from './arguments.ts'
import { completeWords } from './completion.ts'
import { runCommand } from './run-command.ts'

const PROMPT = 'monoceros> '
const HISTORY_SIZE = 200
const PRIVATE_MODE = 0o600

/** Reads commands until the end of the input; resolves to 1 if one was refused, else to 0. */
export async function runPrompt(path: string, options: CtlArguments): Promise<number> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true
  const input = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: isTerminal,
    prompt: PROMPT,
    history: isTerminal ? readHistory() : [],
    historySize: HISTORY_SIZE,
    removeHistoryDuplicates: true,
    completer: (line: string, done: (error: null, result: [string[], string]) => void) =>
      void complete(path, line).then((result) => done(null, result)),
  })
  if (isTerminal) {
    printToStdout('help lists the commands; quit or Ctrl-D ends the prompt.\n')
    input.on('history', writeHistory)
    input.prompt()
  }
  const hasFailed = await readCommands(input, (words, signal) =>
    runLine(path, options, { words, signal }),
  )
  input.close()
  return hasFailed && !isTerminal ? 1 : 0
}

async function readCommands(
  input: Interface,
  run: (words: readonly string[], signal: AbortSignal) => Promise<number>,
): Promise<boolean> {
  let hasFailed = false
  let running: AbortController | undefined
  // Ctrl-C ends the command that is running, or clears the line.
  input.on('SIGINT', () => {
    if (running !== undefined) return running.abort()
    input.write(null, { ctrl: true, name: 'u' })
    input.prompt()
  })
  for await (const line of input) {
    const words = splitWords(line)
    if (words[0] === 'quit' || words[0] === 'exit') return hasFailed
    if (words.length > 0) {
      running = new AbortController()
      hasFailed = (await run(words, running.signal)) !== 0 || hasFailed
      running = undefined
    }
    if (input.terminal) input.prompt()
  }
  // Ctrl-D: the shell's prompt begins a new line.
  if (input.terminal) printToStdout('\n')
  return hasFailed
}

/** Runs one line. The prompt stays if the server is not there any more. */
async function runLine(
  path: string,
  options: CtlArguments,
  line: { words: readonly string[]; signal: AbortSignal },
): Promise<number> {
  try {
    return await runCommand(path, options, line)
  } catch (error) {
    if (!(error instanceof MonocerosError)) throw error
    process.stderr.write(`monoceros: error: ${error.message}\n`)
    return 1
  }
}

function splitWords(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== '')
}

/** Returns the words that can continue the line, and its last word. */
async function complete(path: string, line: string): Promise<[string[], string]> {
  const words = line.split(/\s+/)
  const last = words.pop() ?? ''
  const pids = words.length > 0 ? await listPids(path) : []
  const found = completeWords(words, pids).filter((word) => word.startsWith(last))
  return [found.length === 1 ? found.map((word) => `${word} `) : found, last]
}

async function listPids(path: string): Promise<number[]> {
  const answer = await sendCommand(path, { command: 'workers', args: [] })
  if (!answer.ok || !Array.isArray(answer.data)) return []
  return answer.data.map((worker: { pid: number }) => worker.pid)
}

function historyPath(): string {
  const { XDG_STATE_HOME: state } = system.env
  const directory = state === undefined || state === '' ? join(homedir(), '.local/state') : state
  return join(directory, 'monoceros', 'ctl-history')
}

/** Returns the lines of earlier prompts, the latest first. */
function readHistory(): string[] {
  try {
    return readFileSync(historyPath(), 'utf8').split('\n').filter(Boolean).slice(0, HISTORY_SIZE)
  } catch {
    // The first prompt of this user.
    return []
  }
}

function writeHistory(lines: readonly string[]): void {
  try {
    mkdirSync(dirname(historyPath()), { recursive: true })
    writeFileSync(historyPath(), lines.map((line) => `${line}\n`).join(''), { mode: PRIVATE_MODE })
  } catch {
    // Without a home directory that can be written, the history is that of this prompt.
  }
}
