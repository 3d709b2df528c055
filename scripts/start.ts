// `npm start [-- ARGUMENTS...]`: builds if needed, then serves the named application or an example.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { build } from './build.ts'
import { ROOT } from './command.ts'

const EXAMPLE = 'examples/hello-node/app.js'

/**
 * Signals that are forwarded to the arbiter. INT is forwarded only without a terminal, because a
 * terminal sends it to every process.
 */
const FORWARDED_SIGNALS = [
  'SIGTERM',
  'SIGQUIT',
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTTIN',
  'SIGTTOU',
  'SIGWINCH',
] as const

/** Arguments that serve the example, for a start without arguments. */
function exampleArguments(): string[] {
  const address = `127.0.0.1:${process.env.PORT ?? 8000}`
  console.log(`serving ${EXAMPLE} with two workers at http://${address}/`)
  console.log('your own application: npm start -- path/to/app.js -w 4')
  return [join(ROOT, EXAMPLE), '-w', '2', '-b', address]
}

function serve(args: readonly string[]): void {
  // The paths of the user are relative to the folder where npm was started.
  const cwd = process.env.INIT_CWD ?? process.cwd()
  const main = join(ROOT, 'dist/cli/main.js')
  const child = spawn(process.execPath, [main, ...args], { cwd, stdio: 'inherit' })
  for (const signal of FORWARDED_SIGNALS) process.on(signal, () => child.kill(signal))
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT')
  })
  child.once('exit', (status, signal) => {
    process.exit(status ?? 128 + (signal === null ? 0 : constants.signals[signal]))
  })
}

if (await build()) {
  const given = process.argv.slice(2)
  serve(given.length > 0 ? given : exampleArguments())
} else {
  process.exitCode = 1
}
