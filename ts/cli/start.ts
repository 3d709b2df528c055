/**
 * From settings to the arbiter: what the command does, and what `run` does for a program that embeds the server.
 */
import { statSync } from 'node:fs'

import { takeUpgradeState } from '../arbiter/upgrade-state.ts'
import { monocerosError } from '../errors.ts'
import { native, nativeFailure } from '../native/index.ts'
import {
  type ConfigFile,
  type ResolvedConfig,
  requireApplication,
  resolveConfig,
} from '../settings/config.ts'
import { printToStdout } from './print.ts'

export interface StartOptions {
  /** The command line as far as it has settings. */
  readonly argv: readonly string[]
  /** How this program was started, for a new arbiter or a daemon. */
  readonly entry: string
  readonly args: readonly string[]
  readonly embedded?: ConfigFile
}

/** Serves until it is told to stop; the result is the exit status. */
export async function start({ argv, entry, args, embedded }: StartOptions): Promise<number> {
  // Before the settings are read: the variable has their prefix and is none of them.
  const upgradeState = takeUpgradeState(process.env)
  const cwd = findStartDirectory()
  const given = embedded === undefined ? {} : { embedded }
  const source = { argv, env: { ...process.env }, cwd, ...given }
  const first = await resolveConfig(source)
  const { print_config: printConfig, check_config: checkConfig } = first.values
  if (printConfig) printToStdout((await import('../settings/print.ts')).configText(first))
  requireApplication(first)
  if (first.values.engine === 'native' && native === null) {
    throw monocerosError('ERR_ENGINE_NATIVE', String(nativeFailure))
  }
  if (printConfig || checkConfig) return (await import('./check.ts')).checkConfig(first)

  const program = { entry, args, cwd }
  // An arbiter that takes over is a daemon already, if the one before it was.
  if (first.values.daemon && upgradeState === undefined) {
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
  return runArbiter(load, { program, upgradeState, isEmbedded: embedded !== undefined })
}

// A shell's own name for the directory, symbolic links kept, when it is the same directory: a deployment that moves
// its "current" link is then followed by a reload.
function findStartDirectory(): string {
  const named = process.env.PWD
  const actual = process.cwd()
  if (named === undefined || !named.startsWith('/')) return actual
  const [a, b] = [named, actual].map((path) => statSync(path, { throwIfNoEntry: false }))
  return a !== undefined && a.dev === b?.dev && a.ino === b?.ino ? named : actual
}
