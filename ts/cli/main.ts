#!/usr/bin/env node
/**
 * The command: arguments to settings to the arbiter, and the exit status of all that.
 */
import { readFileSync, statSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'

import { MonocerosError } from '../errors.ts'
import { enableCompileCache } from '../process/compile-cache.ts'
import type { ResolvedConfig } from '../settings/config.ts'

enableCompileCache()
// Nothing here runs often: V8's optimising compilers would bring 8 MB of themselves into memory and save nothing.
for (const flag of ['--no-opt', '--no-maglev']) setFlagsFromString(flag)

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { parseArgv } = await import('../settings/argv.ts')
    const { help, version } = parseArgv(argv)
    if (help) return await printHelp()
    if (version) return print(`monoceros (version ${packageVersion()})\n`)
    return await serve(argv)
  } catch (error) {
    if (!(error instanceof MonocerosError)) throw error
    process.stderr.write(`monoceros: error: ${error.message}\n`)
    return error.exit
  }
}

async function serve(argv: readonly string[]): Promise<number> {
  const { takeHandover } = await import('../arbiter/handover.ts')
  // Before the settings are read: the variable has their prefix and is none of them.
  const handover = takeHandover(process.env)
  const { requireApplication, resolveConfig } = await import('../settings/config.ts')
  const cwd = startDirectory()
  const source = { argv, env: { ...process.env }, cwd }
  const first = await resolveConfig(source)
  const { print_config: printConfig, check_config: checkConfig } = first.values
  if (printConfig) print((await import('../settings/print.ts')).configText(first))
  requireApplication(first)
  if (printConfig || checkConfig) return checkOnly(first)

  const program = { entry: process.argv[1] ?? '', args: argv, cwd }
  // An arbiter that takes over is a daemon already, if the one before it was.
  if (first.values.daemon && handover === undefined) {
    const { startDaemon } = await import('../arbiter/daemon.ts')
    return startDaemon(program, first.values)
  }
  // A config file has effects of its own: the start takes what is already read, each reload reads it anew.
  let ready: ResolvedConfig | undefined = first
  const load = async () => {
    const resolved = ready ?? requireApplication(await resolveConfig(source))
    ready = undefined
    return resolved
  }
  const { runArbiter } = await import('../arbiter/run.ts')
  return runArbiter(load, { program, handover })
}

async function checkOnly({ values, warnings }: ResolvedConfig): Promise<number> {
  for (const warning of warnings) process.stderr.write(`monoceros: warning: ${warning}\n`)
  const { checkApplication } = await import('../arbiter/check.ts')
  return (await checkApplication(values)) === 0 ? 0 : 1
}

async function printHelp(): Promise<number> {
  const { helpText } = await import('../settings/print.ts')
  return print(helpText())
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  return version
}

// A shell's own name for the directory, symbolic links kept, when it is the same directory: a deployment that moves
// its "current" link is then followed by a reload.
function startDirectory(): string {
  const named = process.env.PWD
  const actual = process.cwd()
  if (named === undefined || !named.startsWith('/')) return actual
  const [a, b] = [named, actual].map((path) => statSync(path, { throwIfNoEntry: false }))
  return a !== undefined && a.dev === b?.dev && a.ino === b?.ino ? named : actual
}
