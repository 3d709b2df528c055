/**
 * The setting `logger_class`: a logger of the operator's own in place of the log file. Its module
 * is loaded before the settings that name it are used. If the logger throws, the line is written to
 * the log file.
 */

import { resolve } from 'node:path'

import { monocerosError } from '../errors.ts'
import { currentDate, processId } from '../process/system.ts'
import { loadModule } from '../settings/load.ts'
import type { LogLevel } from './levels.ts'
import { describeThrown } from './thrown-value.ts'

/** One event, as an operator's logger receives it. */
export interface LoggerRecord {
  readonly time: Date
  readonly pid: number
  readonly level: LogLevel
  readonly message: string
  /** Value that an application threw. */
  readonly thrown?: unknown
  /** Stream on which a worker printed the line (`capture_output`). */
  readonly stream?: 'stdout' | 'stderr'
}

/**
 * Class that a module for `logger_class` exports. Each process creates one instance, with the
 * settings.
 */
export interface LoggerClass {
  new (
    settings: object,
  ): {
    /** Writes the event before it returns, because the process may exit right after the call. */
    log(record: LoggerRecord): void
    /** Opens log files by their names again (USR1). */
    reopen?(): void
  }
}

/** An instance of the operator's logger, called safely. */
export interface CustomLogger {
  /** Writes an event. Returns false if the logger failed; the log file then gets the line. */
  write(record: Omit<LoggerRecord, 'time' | 'pid'> & { readonly pid?: number }): boolean
  reopen(): void
}

const loadedClasses = new WeakMap<object, LoadedLoggerClass>()

interface LoadedLoggerClass {
  /** Text of the setting. */
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
    const module: unknown = await loadModule(resolve(chdir, path))
    // Named exports of a CommonJS module may exist only on its default export.
    exported = readExport(module, name) ?? readExport(readExport(module, 'default'), name)
  } catch (thrown) {
    throw monocerosError('ERR_LOGGER_CLASS', spec, describeThrown(thrown)).withCause(thrown)
  }
  if (!isLoggerClass(exported)) {
    throw monocerosError('ERR_LOGGER_CLASS', spec, 'it exports no class with a method log')
  }
  loadedClasses.set(options, { spec, OperatorLogger: exported })
}

function readExport(module: unknown, name: string): unknown {
  const hasExports = (typeof module === 'object' && module !== null) || typeof module === 'function'
  return hasExports ? Reflect.get(module, name) : undefined
}

function isLoggerClass(value: unknown): value is LoggerClass {
  return typeof value === 'function' && typeof value.prototype?.log === 'function'
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

/**
 * Creates the logger of settings that `loadCustomLogger` has processed; undefined if they name
 * none.
 */
export function createCustomLogger(options: object): CustomLogger | undefined {
  const own = loadedClasses.get(options)
  if (own === undefined) return undefined
  const logger = constructLogger(own, options)
  return {
    write(record) {
      try {
        logger.log({ time: currentDate(), pid: processId(), ...record })
        return true
      } catch {
        // The line matters more than the error of the logger: the caller writes it to the log file.
        return false
      }
    },
    reopen: () => logger.reopen?.(),
  }
}
