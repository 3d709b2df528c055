#!/usr/bin/env node
/**
 * The command: arguments to settings to the arbiter, and the exit status of all that.
 */
import { setFlagsFromString } from 'node:v8'

import { MonocerosError } from '../errors.ts'
import { enableCompileCache } from '../process/compile-cache.ts'

enableCompileCache()
// Nothing here runs often: V8's optimising compilers would bring 8 MB of themselves into memory and save nothing.
for (const flag of ['--no-opt', '--no-maglev']) setFlagsFromString(flag)

const EXIT_DELAY_MS = 1_000

process.exitCode = await main(process.argv.slice(2))
// What a hook has left running does not hold the process, and what is on its way out has a moment.
setTimeout(() => process.exit(), EXIT_DELAY_MS).unref()

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { printHelpOrVersion } = await import('./print.ts')
    if (await printHelpOrVersion(argv)) return 0
    const { start } = await import('./start.ts')
    return await start({ argv, entry: process.argv[1] ?? '', args: argv })
  } catch (error) {
    if (!(error instanceof MonocerosError)) throw error
    process.stderr.write(`monoceros: error: ${error.message}\n`)
    return error.exit
  }
}
