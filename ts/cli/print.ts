/** Output of the command on standard output. */
import { errorCode } from '../process/system.ts'
import { parseArgv } from '../settings/argv.ts'

/**
 * Prints the help or the version if the arguments ask for it. Returns true if it did; then nothing
 * is served.
 */
export async function printHelpOrVersion(argv: readonly string[]): Promise<boolean> {
  const { help, version } = parseArgv(argv)
  if (help) printToStdout((await import('../settings/print.ts')).helpText())
  else if (version) {
    printToStdout(
      `monoceros (version ${(await import('../process/version.ts')).readPackageVersion()})\n`,
    )
  }
  return help || version
}

let isWatched = false

/** Prints a text. A closed pipe is not an error. */
export function printToStdout(text: string): void {
  if (!isWatched) {
    process.stdout.on('error', (error) => {
      // The reader has closed the pipe, as `head` does: no error.
      if (errorCode(error) !== 'EPIPE') throw error
    })
  }
  isWatched = true
  process.stdout.write(text)
}
