/**
 * The types of a row in the settings table. The rows themselves are in `sections/`.
 */
import type { ValueKind } from './kinds.ts'

/** The sections of Gunicorn's documentation, in its order. */
export const SECTIONS = [
  'Config File',
  'Server Socket',
  'Worker Processes',
  'Security',
  'Debugging',
  'Server Mechanics',
  'Logging',
  'Monitoring',
  'Process Naming',
  'SSL',
  'HTTP/2',
  'Task Pool',
  'Control',
  'Hooks',
] as const

export type Section = (typeof SECTIONS)[number]

interface AnyRow {
  readonly section: Section
  /** Flags with their dashes. Help and messages show the first long flag; all are accepted. */
  readonly flags?: readonly `-${string}`[]
  /** The flag is a switch that sets the value to false. */
  readonly flagTurnsOff?: true
  /** Other names in config files and, in capitals, in the environment. */
  readonly aliases?: readonly string[]
  readonly kind: ValueKind
  /** The default, in the form of the schema's output. */
  readonly default: unknown
  /** Complete sentences. The first one is the description in --help. */
  readonly doc: string
}

/**
 * The type of a setting in the native engine: `size` counts bytes in memory, `bytes` counts bytes
 * on the wire (a length or a rate), `pairs` is an object of texts.
 */
export type EngineType =
  | 'duration'
  | 'count'
  | 'size'
  | 'bytes'
  | 'flag'
  | 'choice'
  | 'text'
  | 'pairs'

/**
 * How the engines read a setting. `npm run gen` writes the Rust struct and the TypeScript lists
 * from this column.
 */
export interface EngineColumn {
  readonly type: EngineType
  /** The value under `monoceros/register`, if it differs from the default. */
  readonly register?: unknown
  /** `node:http` has no such setting: the TypeScript engine warns if it is set. */
  readonly node?: 'ignored'
}

/** A supported setting. */
export interface SupportedRow extends AnyRow {
  readonly status: 'supported'
  /** The process that acts on the setting. */
  readonly readBy: 'command line' | 'arbiter' | 'worker' | 'arbiter and worker'
  /** Set if the engines read the setting. */
  readonly engine?: EngineColumn
  /** An environment variable of the platform that changes the default, such as PORT. */
  readonly defaultFrom?: {
    readonly variable: string
    /** Converts the text of the variable to the text of the setting. */
    readonly toText: (text: string) => string
    /** The allowed texts of the variable, as the end of "VARIABLE must be ...". */
    readonly allowed: string
  }
  /** The sources that may have the setting, if not all may. */
  readonly sources?: readonly ('flag' | 'environment')[]
}

/** A setting of Gunicorn that is not supported yet. An error names it. */
export interface PlannedRow extends AnyRow {
  readonly status: 'planned'
}

/** A setting of Gunicorn that has no meaning here. */
export interface InapplicableRow extends AnyRow {
  readonly status: 'inapplicable'
  /** What happens if a source has the setting. */
  readonly whenSet: 'ignore' | 'warn' | 'reject'
  /** The end of the sentence "... has no effect, because ...", without a full stop. */
  readonly reason: string
}

export type Row = SupportedRow | PlannedRow | InapplicableRow
