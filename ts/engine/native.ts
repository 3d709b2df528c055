/** The native engine. */
import { monocerosError } from '../errors.ts'
import type { Engine, EngineOptions } from './engine.ts'

export function createNativeEngine(_options: EngineOptions): Engine {
  throw monocerosError('ERR_ENGINE_NATIVE', 'it is not built yet')
}
