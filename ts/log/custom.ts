/**
 * `logger_class`: a logger of the operator's own in the place of the file. Its module is loaded before the settings that
 * name it are used; what it throws costs the line its form and not the line.
 */

import { resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { processId, wallClock } from '../process/system.ts'
import { loadModule } from '../settings/load.ts'
import type { LogLevel } from './levels.ts'
import { describeThrown } from './thrown-value.ts'

/** What a logger of one's own is given for each event. */
export interface LoggerRecord {
  readonly time: Date
  readonly pid: number
  readonly level: LogLevel
  readonly message: string
  /** What an application threw. */
  readonly thrown?: unknown
  /** The line was printed by a worker (`capture_output`). */
  readonly stream?: 'stdout' | 'stderr'
}

/** What a module for `logger_class` exports: a class, made with the settings, one for each process. */
export interface LoggerClass {
  new (
    settings: object,
  ): {
    /** Writes the event before it returns: a process may end behind it. */
    log(record: LoggerRecord): void
    /** USR1: opens its files by their names again. */
    reopen?(): void
  }
}

export interface CustomLogger {
  /** False when the logger has failed: the line goes to the file. */
  write(record: Omit<LoggerRecord, 'time' | 'pid'> & { readonly pid?: number }): boolean
  reopen(): void
}

const loadedClasses = new WeakMap<object, LoadedLoggerClass>()

interface LoadedLoggerClass {
  /** The setting. */
  readonly spec: string
  readonly OperatorLogger: LoggerClass
}

/** Loads the module that the settings name. */
export async function loadCustomLogger(options: {
  readonly logger_class: string | null
  readonly chdir: string
}): Promise<void> {
  const { logger_class: spec, chdir } = options
  if (spec === null) return
  const match = /^(.+):([A-Za-z_$][\w$]*)$/.exec(spec)
  const [path, name] = match === null ? [spec, 'default'] : [match[1] ?? spec, match[2] ?? '']
  let exported: unknown
  try {
    const module = (await loadModule(resolve(chdir, path))) as Record<string, unknown>
    // A CommonJS module's named exports may be on its default one only.
    const inner = module.default as Record<string, unknown> | undefined
    exported = module[name] ?? inner?.[name]
  } catch (thrown) {
    throw monocerosError('ERR_LOGGER_CLASS', spec, describeThrown(thrown)).withCause(thrown)
  }
  if (typeof exported !== 'function' || typeof exported.prototype?.log !== 'function') {
    throw monocerosError('ERR_LOGGER_CLASS', spec, 'it exports no class with a method log')
  }
  loadedClasses.set(options, { spec, OperatorLogger: exported as LoggerClass })
}

function constructLogger(
  { spec, OperatorLogger }: LoadedLoggerClass,
  options: object,
): InstanceType<LoggerClass> {
  try {
    return new OperatorLogger(options)
  } catch (thrown) {
    throw monocerosError('ERR_LOGGER_CLASS', spec, describeThrown(thrown)).withCause(thrown)
  }
}

/** The logger of settings that `prepareLogger` has seen. */
export function createCustomLogger(options: object): CustomLogger | undefined {
  const own = loadedClasses.get(options)
  if (own === undefined) return undefined
  const logger = constructLogger(own, options)
  return {
    write(record) {
      try {
        logger.log({ time: wallClock(), pid: processId(), ...record })
        return true
      } catch {
        // The line itself is more important than what is wrong with who should have written it.
        return false
      }
    },
    reopen: () => logger.reopen?.(),
  }
}
