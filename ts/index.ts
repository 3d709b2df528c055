/**
 * The public API: `run` for programs that embed the server, `defineConfig` for config files,
 * `runInOneWorker` for applications, and their types.
 */
import type { ConfigFile } from './settings/config.ts'

export type { ErrorCode } from './errors.ts'
export { MonocerosError } from './errors.ts'
export type {
  HookArbiter,
  HookFunctions,
  HookOwnWorker,
  HookServer,
  HookWorker,
} from './hooks/types.ts'
export { type OneWorkerFunction, runInOneWorker } from './one-worker.ts'
export { type RunOptions, run } from './run.ts'
export type { Config, ConfigFile, ResolvedConfig } from './settings/config.ts'

/** Returns its argument. Gives a config file the types of the settings. */
export function defineConfig(config: ConfigFile): ConfigFile {
  return config
}
