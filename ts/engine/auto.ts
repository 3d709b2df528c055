/**
 * Chooses the engine: `native` if its binary loads, else `node`. The arbiter has said which and why in one line of the
 * log, for all workers; here it is a debug line.
 */
import { monocerosError } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import { native, nativeFailure } from '../native/index.ts'
import type { Engine, EngineOptions } from './engine.ts'

/** The engine that the setting `engine` asks for. */
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

/** Each engine is loaded only where it serves: the other would be memory in every worker. */
async function loadNodeEngine(options: EngineOptions): Promise<Engine> {
  return (await import('./node/engine.ts')).createNodeEngine(options)
}
