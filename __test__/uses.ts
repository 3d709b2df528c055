/**
 * Records what passing tests use: settings with their values, signals, log lines. After a run,
 * `scripts/proof-record.ts` compares the record with the tables of proofs. Costs nothing unless the
 * variable PROOF_RECORD names a directory.
 */
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { LOG_LINES, type LogLine, type LogLineName } from '../ts/log/log-lines.ts'
import type { SignalName } from '../ts/signals.ts'

/** One line of the record. */
export interface Use {
  /** The title of the test. */
  readonly test: string
  readonly settings?: Readonly<Record<string, unknown>>
  readonly signals?: readonly string[]
  readonly lines?: readonly LogLineName[]
  readonly start?: Start
}

/** A start of the command. The check after the run resolves its settings. */
export interface Start {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly directory: string
  /** The files in the directory that may be config files, or parts of one. */
  readonly files: Readonly<Record<string, string>>
}

const RECORD = process.env.PROOF_RECORD ?? ''
const TESTS = fileURLToPath(new URL('./', import.meta.url))

/** Records settings that a test gives to a part of Monoceros, and returns them. */
export function uses<T extends object>(t: ExecutionContext, settings: T): T {
  if (RECORD === '') return settings
  const entries = Object.entries(settings)
  const shown = entries.map(([name, value]) => [name, typeof value === 'function' ? '()' : value])
  recordAtEnd(t, () => ({ settings: Object.fromEntries(shown) }))
  return settings
}

/** Records the log lines that a text has at the end of a test. */
export function usesLog(t: ExecutionContext, text: () => string): void {
  if (RECORD !== '') recordAtEnd(t, () => ({ lines: logLinesIn(text()) }))
}

/** Records a signal that a test sends. */
export function usesSignal(t: ExecutionContext, signal: SignalName): void {
  if (RECORD !== '') recordAtEnd(t, () => ({ signals: [`SIG${signal}`] }))
}

/** Records a start of the command, with the config files of now. */
export function usesStart(t: ExecutionContext, start: Omit<Start, 'files'>): void {
  if (RECORD === '') return
  const complete = { ...start, files: configFiles(start.directory) }
  recordAtEnd(t, () => ({ start: complete }))
}

/**
 * Records a start of the command, with the config files of now and of the end of the test, and at
 * the end its log and the signals that it was sent.
 */
export function usesProgram(
  t: ExecutionContext,
  options: {
    readonly start: Omit<Start, 'files'>
    readonly program: { readonly log: string; readonly signals: readonly string[] }
  },
): void {
  if (RECORD === '') return
  const { start, program } = options
  usesStart(t, start)
  recordAtEnd(t, () => {
    const last = { ...start, files: configFiles(start.directory) }
    return { start: last, lines: logLinesIn(program.log), signals: program.signals }
  })
}

function recordAtEnd(t: ExecutionContext, use: () => Omit<Use, 'test'>): void {
  t.teardown(() => {
    if (!t.passed) return
    const file = relative(TESTS, fileURLToPath(test.meta.file))
    const line = JSON.stringify({ test: t.title, ...use() })
    appendFileSync(join(RECORD, file.replaceAll('/', '+')), `${line}\n`)
  })
}

/** Files above this size are applications, or what they serve. */
const MAX_CONFIG_BYTES = 65_536

/** Replaces a part of a line that varies. */
const VARIABLE = '\u0000'

function configFiles(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => /\.(?:[cm]?[jt]s|json|conf)$/.test(name))
  const texts = names.map((name) => [name, readFileSync(join(directory, name), 'utf8')] as const)
  return Object.fromEntries(texts.filter(([, text]) => text.length <= MAX_CONFIG_BYTES))
}

/** Finds the rows of the table of log lines that a log has, with their levels. */
export function logLinesIn(log: string): LogLineName[] {
  return PATTERNS.filter(({ pattern }) => pattern.test(log)).map(({ name }) => name)
}

// A line begins with its level: as the command writes it, or as the logs of tests do.
function patternOf({ level, text }: LogLine): RegExp {
  const shown = text(...Array.from({ length: text.length }, () => VARIABLE))
  const parts = shown.split(VARIABLE).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`(?:\\[${level.toUpperCase()}\\]|^${level}) ${parts.join('.*?')}(?:$|:)`, 'm')
}

const PATTERNS = Object.entries(LOG_LINES).map(([name, row]) => {
  return { name: name as LogLineName, pattern: patternOf(row) }
})
