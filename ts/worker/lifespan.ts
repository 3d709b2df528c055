/**
 * The lifespan functions of an application: `startup` and `shutdown`, exported by its module. The
 * worker waits for a promise of either.
 */

import { monocerosError } from '../errors.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'

type LifespanFunction = () => unknown

/** The lifespan functions of an application; a missing one does nothing. */
export interface Lifespan {
  /** Call before the first request; an error fails the boot (ERR_APP_STARTUP). */
  startup(): Promise<void>
  /** Call after the last request; an error is logged. */
  shutdown(log: Logger): Promise<void>
}

/** Finds the exported functions; mode `on` throws ERR_APP_LIFESPAN if there is none. */
export function findLifespan(exports: unknown, mode: 'auto' | 'on' | 'off'): Lifespan {
  const startup = mode === 'off' ? undefined : findLifespanFunction(exports, 'startup')
  const shutdown = mode === 'off' ? undefined : findLifespanFunction(exports, 'shutdown')
  if (mode === 'on' && startup === undefined && shutdown === undefined) {
    throw monocerosError('ERR_APP_LIFESPAN')
  }
  return {
    async startup() {
      try {
        await startup?.()
      } catch (thrown) {
        throw monocerosError('ERR_APP_STARTUP', describeThrown(thrown)).withCause(thrown)
      }
    },
    async shutdown(log) {
      try {
        await shutdown?.()
      } catch (thrown) {
        logThrown(log, { name: 'shutdownFailed', thrown })
      }
    },
  }
}

// Looks at own properties only: a `startup` that an application inherits belongs to its framework.
// `default` holds the exports of a CommonJS module.
function findLifespanFunction(exports: unknown, name: string): LifespanFunction | undefined {
  const value = ownValue(exports, name) ?? ownValue(ownValue(exports, 'default'), name)
  return typeof value === 'function' ? () => Reflect.apply(value, undefined, []) : undefined
}

function ownValue(holder: unknown, name: string): unknown {
  const holds = (typeof holder === 'object' || typeof holder === 'function') && holder !== null
  return holds && Object.hasOwn(holder, name) ? Reflect.get(holder, name) : undefined
}
