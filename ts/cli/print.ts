/** What the command prints on standard output. */
import { errorCode } from '../process/system.ts'
import { parseArgv } from '../settings/argv.ts'

/** Prints the help or the version where the arguments ask for it, and says whether they did: then nothing is served. */
export async function printHelpOrVersion(argv: readonly string[]): Promise<boolean> {
  const { help, version } = parseArgv(argv)
  if (help) printToStdout((await import('../settings/print.ts')).helpText())
  else if (version) {
    printToStdout(
      `monoceros (version ${(await import('../process/version.ts')).packageVersion()})\n`,
    )
  }
  return help || version
}

export function printToStdout(text: string): void {
  process.stdout.once('error', (error) => {
    // The reader has seen enough, as `head` has: no error of ours.
    if (errorCode(error) !== 'EPIPE') throw error
  })
  process.stdout.write(text)
}
