/** Levels of the error log, in increasing order of severity. */

/** The numbers are pino's; the names are those of Python's logging. */
export const LEVELS = { debug: 10, info: 20, warning: 30, error: 40, critical: 50 } as const

/** Name of a level. */
export type LogLevel = keyof typeof LEVELS
