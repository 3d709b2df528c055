/**
 * Compares the tables of proofs, which docs/gunicorn.md shows, with what the passing tests of a run
 * really used (`__test__/uses.ts`). A setting counts only with a value other than its default.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import { HOOK_PROOFS } from '../__test__/hook-proofs.ts'
import { LINE_PROOFS } from '../__test__/log-line-proofs.ts'
import { SETTING_PROOFS } from '../__test__/proofs.ts'
import { SIGNAL_PROOFS } from '../__test__/signal-proofs.ts'
import type { Start, Use } from '../__test__/uses.ts'
import type { LogLineName } from '../ts/log/log-lines.ts'
import { parseArgv } from '../ts/settings/argv.ts'
import { checkGiven } from '../ts/settings/check.ts'
import { environmentLayer } from '../ts/settings/environment.ts'
import { fileLayer, findConfigFile } from '../ts/settings/file.ts'
import type { SettingEntry, SettingsLayer } from '../ts/settings/layer.ts'
import { type RowName, rowOf } from '../ts/settings/names.ts'
import { shellWords } from '../ts/settings/shell-words.ts'

/** A row of a table of proofs: what is proven, and the test that proves it. */
interface ProofRow {
  readonly kind: 'setting' | 'signal' | 'hook' | 'log line'
  readonly name: string
  readonly proof: string
}

/** The kernel sends CHLD when a worker ends, and the arbiter then logs one of these lines. */
const WORKER_ENDS: readonly LogLineName[] = [
  'workerExiting',
  'workerExited',
  'workerSignaled',
  'workerKilledBySignal',
  'workerKilledExternally',
]

const PROOF_ROWS: readonly ProofRow[] = [
  ...rows('setting', SETTING_PROOFS),
  ...rows('signal', SIGNAL_PROOFS),
  ...rows('hook', HOOK_PROOFS),
  ...rows('log line', LINE_PROOFS),
]

function rows(kind: ProofRow['kind'], table: Readonly<Record<string, string>>): ProofRow[] {
  return Object.entries(table).map(([name, proof]) => ({ kind, name, proof }))
}

/** What the passing tests of a run used: by the file of the test. */
export type ProofRecord = (file: string) => readonly Use[]

/** Reads the record that the tests of a run have written to a directory. */
export function readRecord(directory: string): ProofRecord {
  return (file) => {
    const path = join(directory, file.replaceAll('/', '+'))
    const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
    return text.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as Use)))
  }
}

/**
 * Lists the rows whose test ran and did not use what it proves. `isInRun` excludes the rows of
 * tests that were not run, or were skipped.
 */
export async function findUnproven(
  record: ProofRecord,
  isInRun: (file: string, title: string) => boolean,
): Promise<string[]> {
  const settings = new Map<Use, Promise<SettingEntry[]>>()
  const settingsOfUse = (use: Use): Promise<SettingEntry[]> => {
    const known = settings.get(use) ?? readSettings(use)
    settings.set(use, known)
    return known
  }
  const byFile = new Map<string, readonly Use[]>()
  const unproven: string[] = []
  for (const row of PROOF_ROWS) {
    const [file = '', title = ''] = row.proof.split(' › ')
    if (!isInRun(file, title)) continue
    const all = byFile.get(file) ?? record(file)
    byFile.set(file, all)
    const pattern = titlePattern(title)
    const used = all.filter(({ test }) => pattern.test(test))
    const given = (await Promise.all(used.map(settingsOfUse))).flat()
    if (!isProven(row, used, given)) unproven.push(`${row.kind} ${row.name}: ${row.proof}`)
  }
  return unproven
}

/** Matches the titles of a test: `${...}` in one varies. */
export function titlePattern(title: string): RegExp {
  const parts = title.split(/\$\{[^}]*\}/)
  return new RegExp(parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'))
}

function isProven(
  { kind, name }: ProofRow,
  used: readonly Use[],
  given: readonly SettingEntry[],
): boolean {
  const lines = new Set(used.flatMap((use) => use.lines ?? []))
  switch (kind) {
    case 'setting': {
      const row = rowOf(name as RowName)
      const initial = row.status === 'supported' ? row.default : undefined
      return given.some((entry) => entry.name === name && !isDeepStrictEqual(entry.value, initial))
    }
    case 'hook':
      return given.some((entry) => entry.name === name)
    case 'signal':
      if (name === 'CHLD') return WORKER_ENDS.some((line) => lines.has(line))
      return used.some(({ signals }) => signals?.includes(`SIG${name}`))
    case 'log line':
      return lines.has(name as LogLineName)
  }
}

async function readSettings({ settings = {}, start }: Use): Promise<SettingEntry[]> {
  const direct = Object.entries(settings).map(([name, value]): SettingEntry => {
    return { name: name as RowName, value, subject: 'test' }
  })
  return start === undefined ? direct : [...direct, ...(await settingsOfStart(start))]
}

/** Reads all sources of settings as the command does, in a copy of its directory. */
async function settingsOfStart({ args, env, directory, files }: Start): Promise<SettingEntry[]> {
  const cwd = mkdtempSync(join(tmpdir(), 'monoceros-proofs-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text)
    const moved = (text: string) => text.replaceAll(directory, cwd)
    const variables = Object.fromEntries(
      Object.entries(env).map(([key, text]) => [key, moved(text)]),
    )
    const layers: SettingsLayer[] = [
      readLayer('environment', () => environmentLayer(variables).given),
      readLayer('flag', () => parseArgv(shellWords(variables.MONOCEROS_CMD_ARGS ?? '')).given),
      readLayer('flag', () => parseArgv(args.map(moved)).given),
    ]
    const entries = layers.flatMap(({ given }) => given)
    const named = entries.findLast(({ name }) => name === 'config')?.value
    layers.push(await readFile(typeof named === 'string' ? named : undefined, cwd))
    return layers.flatMap(({ given, source }) => given.map((entry) => checked(entry, source)))
  } finally {
    rmSync(cwd, { recursive: true, force: true })
  }
}

// Tests give wrong values as well: those set nothing.
function readLayer(
  source: SettingsLayer['source'],
  read: () => readonly SettingEntry[],
): SettingsLayer {
  try {
    return { origin: '', source, given: read() }
  } catch {
    return { origin: '', source, given: [] }
  }
}

async function readFile(named: string | undefined, cwd: string): Promise<SettingsLayer> {
  try {
    const found = findConfigFile(named, cwd)
    if (found !== undefined) return await fileLayer(found)
  } catch {
    // As for a wrong value.
  }
  return { origin: '', source: 'file', given: [] }
}

// A path may have existed during the test only, so that the check fails now.
function checked(entry: SettingEntry, source: SettingsLayer['source']): SettingEntry {
  try {
    const { isUsed, value } = { value: entry.value, ...checkGiven(entry, source) }
    return isUsed ? { ...entry, value } : entry
  } catch {
    return entry
  }
}
