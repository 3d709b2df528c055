// Runs a program of this folder in a process of its own and returns what it prints.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** A program may take this long on a busy machine. */
const PROGRAM_MS = 150_000

/**
 * Its standard output as JSON; anything but exit status 0 rejects with what it wrote to standard
 * error.
 */
export async function runProgram(name: string, ...args: string[]): Promise<unknown> {
  const path = fileURLToPath(new URL(`./programs/${name}`, import.meta.url))
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--import', 'tsx', path, ...args], {
    timeout: PROGRAM_MS,
  })
  return JSON.parse(stdout)
}
