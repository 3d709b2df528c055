/** The levels of the error log, from the least to the most urgent. */

/** The numbers are pino's, spread as Python's logging has them. */
export const LEVELS = { debug: 10, info: 20, warning: 30, error: 40, critical: 50 } as const

export type LogLevel = keyof typeof LEVELS
