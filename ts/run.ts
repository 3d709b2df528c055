/** The server inside another program: settings in, exit status out. */

import type { ConfigFile } from './settings/config.ts'

/** Options of `run`. */
export interface RunOptions {
  /**
   * Command line whose settings override those of the program: `process.argv.slice(2)`. Without it
   * none is read.
   */
  readonly argv?: readonly string[]
}

/**
 * Runs an arbiter in this process until a signal stops it. Resolves to the exit status, and rejects
 * with a MonocerosError where the command would print an error. The setting `app` names the
 * application, because workers load it themselves.
 */
export async function run(settings: ConfigFile, { argv = [] }: RunOptions = {}): Promise<number> {
  // Imported here, so that a config file that imports `defineConfig` loads nothing else.
  const { printHelpOrVersion } = await import('./cli/print.ts')
  if (await printHelpOrVersion(argv)) return 0
  const { start } = await import('./cli/start.ts')
  const [, entry = '', ...args] = process.argv
  return start({ argv, entry, args, embeddedSettings: settings })
}
