#!/usr/bin/env node
/** The command `monoceros`: reads the arguments, starts the arbiter and sets the exit status. */
import { setFlagsFromString } from 'node:v8'

import { MonocerosError } from '../errors.ts'
import { enableCompileCache } from '../process/compile-cache.ts'

enableCompileCache()
// No code of the arbiter runs often: V8's optimizing compilers would use 8 MB of memory for
// nothing.
for (const flag of ['--no-opt', '--no-maglev']) setFlagsFromString(flag)

const EXIT_DELAY_MS = 1_000

process.exitCode = await main(process.argv.slice(2))
// Pending work of a hook must not keep the process alive. Output that is being written has a
// second.
setTimeout(() => process.exit(), EXIT_DELAY_MS).unref()

async function main(argv: readonly string[]): Promise<number> {
  try {
    // An application of this name is started as ./ctl.
    if (argv[0] === 'ctl') return await (await import('./ctl/ctl.ts')).runCtl(argv.slice(1))
    if (argv[0] === 'doctor') return await (await import('./doctor.ts')).runDoctor(argv.slice(1))
    if (argv[0] === 'migrate') return await (await import('./migrate.ts')).runMigrate(argv.slice(1))
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
