/**
 * Chooses the engine: `native` if its addon loads, else `node`. The arbiter logs the choice and the
 * reason once for all workers; here it is a debug line.
 */
import { monocerosError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import { native, nativeFailure } from '../native/index.ts'
import type { Engine, EngineOptions } from './engine.ts'

/**
 * Creates the engine that the setting `engine` names; throws ERR_ENGINE_NATIVE if the addon does
 * not load.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const wanted = options.config.engine
  if (wanted === 'node') {
    logLine(options.log, 'workerEngine', 'node (asked for by the setting "engine")')
    return await loadNodeEngine(options)
  }
  if (native !== null) {
    logLine(options.log, 'workerEngine', 'native')
    return (await import('./native/engine.ts')).createNativeEngine(options)
  }
  if (wanted === 'native') throw monocerosError('ERR_ENGINE_NATIVE', String(nativeFailure))
  logLine(
    options.log,
    'workerEngine',
    `node (the native engine does not load: ${String(nativeFailure)})`,
  )
  return await loadNodeEngine(options)
}

/**
 * Loads an engine only where it serves: the code of the other would take memory in every worker.
 */
async function loadNodeEngine(options: EngineOptions): Promise<Engine> {
  return (await import('./node/engine.ts')).createNodeEngine(options)
}
