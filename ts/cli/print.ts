/** What the command prints on standard output. */
import { errorCode } from '../process/system.ts'

export function print(text: string): void {
  process.stdout.once('error', (error) => {
    // The reader has seen enough, as `head` has: no error of ours.
    if (errorCode(error) !== 'EPIPE') throw error
  })
  process.stdout.write(text)
}
