/**
 * What a row of the settings table says. The rows themselves are in `table.ts`.
 */
import type { ValueKind } from './kinds.ts'

export const SECTIONS = [
  'Config File',
  'Server Socket',
  'Worker Processes',
  'Security',
  'Debugging',
  'Server Mechanics',
  'Logging',
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
  /** With dashes; the first long one is the name used in help and messages, the others are accepted too. */
  readonly flags?: readonly `-${string}`[]
  /** The flag is a switch that sets false. */
  readonly flagTurnsOff?: true
  /** Further names in config files and, in capitals, in the environment. */
  readonly aliases?: readonly string[]
  readonly kind: ValueKind
  /** A complete value, as the schema gives it. */
  readonly default: unknown
  /** Sentences, each with its full stop; the first one alone is the line in --help. */
  readonly doc: string
}

/**
 * The type of a setting in the native engine: `size` counts bytes in memory, `bytes` counts bytes on the wire (a length or
 * a rate), `pairs` is an object of texts.
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

/** How the engines take a setting. `npm run gen` writes the Rust struct and the lists of TypeScript from this column. */
export interface EngineColumn {
  readonly type: EngineType
  /** The value under `monoceros/register`, where it is not the default. */
  readonly register?: unknown
  /** `node:http` has no such setting: the TypeScript engine warns where one is given. */
  readonly node?: 'ignored'
}

/** A setting that works. */
export interface SupportedRow extends AnyRow {
  readonly status: 'supported'
  /** Which process acts on it. */
  readonly readBy: 'command line' | 'arbiter' | 'worker' | 'arbiter and worker'
  /** The engine reads the setting. */
  readonly engine?: EngineColumn
  /** A variable of the platform that moves the default, and what its text then stands for. */
  readonly defaultFrom?: {
    readonly variable: string
    readonly toText: (text: string) => string
    readonly allowed: string
  }
  /** Where it may be given, when not everywhere. */
  readonly sources?: readonly ('flag' | 'environment')[]
}

/** A setting of Gunicorn that will work one day and is refused by name until then. */
export interface PlannedRow extends AnyRow {
  readonly status: 'planned'
}

/** A setting of Gunicorn that cannot mean anything here. */
export interface InapplicableRow extends AnyRow {
  readonly status: 'inapplicable'
  readonly whenSet: 'ignore' | 'warn' | 'reject'
  /** Completes "..., because". */
  readonly reason: string
}

export type Row = SupportedRow | PlannedRow | InapplicableRow
