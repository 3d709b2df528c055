// `npm start [-- ARGUMENTS...]`: builds if needed, then serves the named application or an example.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { resolveConfig } from '../ts/settings/config.ts'
import { build } from './build.ts'
import { isMain, ROOT } from './command.ts'

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

/**
 * Completes arguments that name no application with the example, and with the workers and the
 * address that they do not set.
 */
export async function completeArguments(
  given: readonly string[],
  { env, cwd }: { env: NodeJS.ProcessEnv; cwd: string },
): Promise<readonly string[]> {
  const resolved = await resolveConfig({ argv: given, env, cwd }).catch(() => undefined)
  // The command itself reports what is wrong with the arguments.
  if (resolved === undefined || resolved.values.app !== null) return given
  const { workers, bind } = resolved.origins
  return [
    join(ROOT, EXAMPLE),
    ...given,
    ...(workers === 'default' ? ['-w', '2'] : []),
    ...(bind === 'default' || bind === 'PORT' ? ['-b', `127.0.0.1:${env.PORT ?? 8000}`] : []),
  ]
}

function serve(args: readonly string[], cwd: string): void {
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

/** Builds what is missing, then serves. */
async function start(given: readonly string[]): Promise<void> {
  // The paths of the user are relative to the folder where npm was started.
  const cwd = process.env.INIT_CWD ?? process.cwd()
  const args = await completeArguments(given, { env: process.env, cwd })
  if (!(await build('quick', { isDevelopment: true }))) {
    process.exitCode = 1
    return
  }
  if (args !== given) {
    console.log(`serving ${EXAMPLE}; your own application: npm start -- path/to/app.js -w 4`)
  }
  serve(args, cwd)
}

if (isMain(import.meta.url)) await start(process.argv.slice(2))
