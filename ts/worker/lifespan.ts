/** The life cycle of an application: what its module exports as `startup` and `shutdown`, each waited for. */

import { monocerosError } from '../errors.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'

type LifespanFunction = () => unknown

export interface Lifespan {
  /** Before the first request; a failure is one of the boot. */
  startup(): Promise<void>
  /** After the last request; a failure is logged. */
  shutdown(log: Logger): Promise<void>
}

/** Finds the exports; `on` demands that there is at least one of them. */
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

// Of a CommonJS module too: what an application inherits (a method of a framework) is not meant.
function findLifespanFunction(exports: unknown, name: string): LifespanFunction | undefined {
  const value = ownValue(exports, name) ?? ownValue(ownValue(exports, 'default'), name)
  return typeof value === 'function' ? (value as LifespanFunction) : undefined
}

function ownValue(holder: unknown, name: string): unknown {
  const holds = (typeof holder === 'object' || typeof holder === 'function') && holder !== null
  return holds && Object.hasOwn(holder, name) ? Reflect.get(holder, name) : undefined
}
