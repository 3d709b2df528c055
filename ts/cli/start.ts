/** From settings to a running arbiter, for the command and for programs that call `run`. */
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

/** How this process was started. */
export interface StartOptions {
  /** Arguments that contain settings. */
  readonly argv: readonly string[]
  /**
   * Path of the program, for starting it again as an upgrade or a daemon; `args` are its arguments.
   */
  readonly entry: string
  readonly args: readonly string[]
  readonly embeddedSettings?: ConfigFile
}

/** Serves until a signal stops it; resolves to the exit status. */
export async function start({
  argv,
  entry,
  args,
  embeddedSettings,
}: StartOptions): Promise<number> {
  // Taken before the settings are read: its name has their prefix, but it is not a setting.
  const upgradeState = takeUpgradeState(process.env)
  const cwd = findStartDirectory()
  const given = embeddedSettings === undefined ? {} : { embedded: embeddedSettings }
  const source = { argv, env: { ...process.env }, cwd, ...given }
  const first = await resolveConfig(source)
  const { print_config: printConfig, check_config: checkConfig } = first.values
  if (printConfig) printToStdout((await import('../settings/print.ts')).configText(first))
  requireApplication(first)
  if (first.values.engine === 'native' && native === null) {
    throw monocerosError('ERR_ENGINE_NATIVE', String(nativeFailure))
  }
  if (printConfig || checkConfig) {
    const status = await (await import('./check.ts')).checkConfig(first)
    // The output of --print-config is for programs, too.
    if (status === 0 && !printConfig) {
      printToStdout(`The settings are valid, and the application ${first.values.app} loads.\n`)
    }
    return status
  }

  const program = { entry, args, cwd }
  // An arbiter that continues an earlier one is a daemon already if that one was.
  if (first.values.daemon && upgradeState === undefined) {
    const { startDaemon } = await import('../arbiter/daemon.ts')
    return startDaemon(program, first.values)
  }
  // A config file may have side effects: the start uses the settings that are already read, and
  // each reload reads them again.
  let preloaded: ResolvedConfig | undefined = first
  const load = async () => {
    const resolved = preloaded ?? requireApplication(await resolveConfig(source))
    preloaded = undefined
    return resolved
  }
  const { runArbiter } = await import('../arbiter/run.ts')
  return runArbiter(load, { program, upgradeState, isEmbedded: embeddedSettings !== undefined })
}

// Returns the shell's name of the working directory (PWD) if it is the same directory. A reload
// then follows a symbolic link such as "current", which a deployment moves.
function findStartDirectory(): string {
  const named = process.env.PWD
  const actual = process.cwd()
  if (named === undefined || !named.startsWith('/')) return actual
  const [a, b] = [named, actual].map((path) => statSync(path, { throwIfNoEntry: false }))
  return a !== undefined && a.dev === b?.dev && a.ino === b?.ino ? named : actual
}
