/** The server as a part of a program of its own: settings in, exit status out. */

import type { ConfigFile } from './settings/config.ts'

export interface RunOptions {
  /** A command line whose settings stand above those of the program: `process.argv.slice(2)`. None is read without it. */
  readonly argv?: readonly string[]
}

/**
 * Runs an arbiter in this process until a signal ends it; the promise is of the exit status, and rejects with a
 * MonocerosError where the command would print one. The application is named by `app`, since workers load it themselves.
 */
export async function run(settings: ConfigFile, { argv = [] }: RunOptions = {}): Promise<number> {
  // Loaded only now, so that a config file that imports `defineConfig` loads nothing.
  const { printHelpOrVersion } = await import('./cli/print.ts')
  if (await printHelpOrVersion(argv)) return 0
  const { start } = await import('./cli/start.ts')
  const [, entry = '', ...args] = process.argv
  return start({ argv, entry, args, embedded: settings })
}
