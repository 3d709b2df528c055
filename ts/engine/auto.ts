/**
 * Chooses the engine: `native` if its binary loads, else `node`. The arbiter has said which and why in one line of the
 * log, for all workers; here it is a debug line.
 */
import { monocerosError } from '../errors.ts'
import { native, nativeFailure } from '../native/index.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { createNativeEngine } from './native.ts'
import { createNodeEngine } from './node.ts'

/** The engine that the setting `engine` asks for. */
export function createEngine(options: EngineOptions): Engine {
  const wanted = options.config.engine
  if (wanted === 'node') {
    options.log.debug('engine=node (asked for by the setting "engine")')
    return createNodeEngine(options)
  }
  if (native !== null) {
    options.log.debug('engine=native')
    return createNativeEngine(options)
  }
  if (wanted === 'native') throw monocerosError('ERR_ENGINE_NATIVE', String(nativeFailure))
  options.log.debug(`engine=node (the native engine does not load: ${String(nativeFailure)})`)
  return createNodeEngine(options)
}
