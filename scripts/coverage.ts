/**
 * `npm run coverage`: runs the tests of ava and cargo and lists the functions that none of them
 * calls. With arguments it runs only these files of ava: `npm run coverage -- __test__/tls/*.ts`.
 *
 * Node and rustc count the calls themselves (NODE_V8_COVERAGE, `-C instrument-coverage`), so this
 * needs no library. The Rust part needs `rustup component add llvm-tools`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { build, cargoObstacle } from './build.ts'
import { isMain, ROOT, run, runBin } from './command.ts'

const OUTPUT = join(ROOT, 'target/coverage')
/** Files of V8 are large, and each process writes one: they are read while the tests run. */
const COLLECT_MS = 2_000

/** The named functions of each source file, with the number of calls. */
export type Calls = Map<string, Map<string, number>>

/** A file that Node writes at the end of a process. */
interface V8Coverage {
  readonly result: readonly {
    readonly url: string
    readonly functions: readonly {
      readonly functionName: string
      readonly ranges: readonly { readonly startOffset: number; readonly count: number }[]
    }[]
  }[]
}

/** A source file, or a bundle of several: the offset at which each begins. */
export type Module = readonly { readonly source: string; readonly offset: number }[]

/**
 * Adds the calls of one process. Functions with the same name in a file count as one. `readModule`
 * returns undefined for a module of others.
 */
export function addCalls(
  calls: Calls,
  { result }: V8Coverage,
  readModule: (url: string) => Module | undefined,
): void {
  for (const { url, functions } of result) {
    const module = readModule(url)
    if (module === undefined) continue
    for (const { functionName: name, ranges } of functions) {
      const [whole] = ranges
      if (whole === undefined || name === '') continue
      const found = module.findLast(({ offset }) => offset <= whole.startOffset)
      if (found !== undefined) addCall(calls, { ...found, name, count: whole.count })
    }
  }
}

interface Call {
  readonly source: string
  readonly name: string
  readonly count: number
}

function addCall(calls: Calls, { source, name, count }: Call): void {
  const ofSource = calls.get(source) ?? new Map<string, number>()
  calls.set(source, ofSource)
  ofSource.set(name, (ofSource.get(name) ?? 0) + count)
}

/** A bundle has the name of each source file in a comment before its code. */
const BUNDLED = /^\/\/ (ts\/\S+\.ts)$/gm

/** Finds the source files of a module of this package. */
export function parseModule(path: string, text: string): Module {
  if (path.startsWith('ts/')) return [{ source: path, offset: 0 }]
  return [...text.matchAll(BUNDLED)].map(({ 1: source = '', index: offset }) => ({
    source,
    offset,
  }))
}

export async function coverTypeScript(files: readonly string[]): Promise<number> {
  const directory = join(OUTPUT, 'v8')
  mkdirSync(directory, { recursive: true })
  const calls: Calls = new Map()
  const modules = new Map<string, Module | undefined>()
  const readKnown = (url: string) => {
    if (!modules.has(url)) modules.set(url, readModule(url))
    return modules.get(url)
  }
  const collect = () => {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name)
      try {
        addCalls(calls, JSON.parse(readFileSync(path, 'utf8')), readKnown)
        rmSync(path)
      } catch {
        // It is being written, and is read the next time.
      }
    }
  }
  let isRunning = true
  const env = { ...process.env, NO_COLOR: '1', NODE_V8_COVERAGE: directory }
  const tests = runBin('ava', files, { env }).finally(() => {
    isRunning = false
  })
  while (isRunning) {
    await delay(COLLECT_MS)
    collect()
  }
  collect()
  report('TypeScript', calls)
  return (await tests).status
}

function readModule(url: string): Module | undefined {
  if (!url.startsWith('file:')) return undefined
  const path = relative(ROOT, fileURLToPath(url))
  if (!/^(?:ts|dist)\//.test(path) || !existsSync(join(ROOT, path))) return undefined
  return parseModule(path, readFileSync(join(ROOT, path), 'utf8'))
}

function report(language: string, calls: Calls): void {
  const folders = new Map<string, [called: number, all: number]>()
  for (const [source, functions] of [...calls].toSorted()) {
    const uncalled = [...functions].filter(([, count]) => count === 0).map(([name]) => name)
    if (uncalled.length > 0) console.log(`${source}: not called: ${uncalled.toSorted().join(', ')}`)
    const folder = source.split('/').slice(0, -1).join('/')
    const [called, all] = folders.get(folder) ?? [0, 0]
    folders.set(folder, [called + functions.size - uncalled.length, all + functions.size])
  }
  for (const [folder, [called, all]] of folders) {
    console.log(`${folder}: ${called} of ${all} functions are called`)
  }
  const totals = [...folders.values()]
  const sum = (index: 0 | 1) => totals.reduce((total, counts) => total + counts[index], 0)
  console.log(`${language}: ${sum(0)} of ${sum(1)} functions are called`)
}

/** The part of `llvm-cov export` that is read here. */
interface LlvmCoverage {
  readonly data: readonly {
    readonly functions: readonly {
      readonly count: number
      readonly filenames: readonly string[]
      /** Line, column and more of each region; the first is where the function begins. */
      readonly regions: readonly (readonly number[])[]
    }[]
  }[]
}

export async function coverRust(): Promise<number> {
  const profiles = join(OUTPUT, 'profiles')
  mkdirSync(profiles, { recursive: true })
  // Only this workspace is instrumented, so that no dependency is built again.
  const wrapper = join(OUTPUT, 'rustc')
  writeFileSync(wrapper, '#!/bin/sh\nexec "$@" -C instrument-coverage\n', { mode: 0o755 })
  const env = {
    ...process.env,
    RUSTC_WORKSPACE_WRAPPER: wrapper,
    LLVM_PROFILE_FILE: join(profiles, '%m.profraw'),
  }
  const args = ['test', '-p', 'monoceros-engine', '--color', 'never']
  const { status, output } = await run('cargo', args, { env })
  const binaries = [...output.matchAll(/^ +Running .*\((.*)\)$/gm)].flatMap(
    (match) => match[1] ?? [],
  )
  const tools = await llvmTools()
  const merged = join(OUTPUT, 'merged.profdata')
  const raw = readdirSync(profiles).map((name) => join(profiles, name))
  await run(join(tools, 'llvm-profdata'), ['merge', '-sparse', ...raw, '-o', merged])
  const objects = binaries.flatMap((path) => ['-object', path])
  const exported = await run(
    join(tools, 'llvm-cov'),
    ['export', '-skip-expansions', '-instr-profile', merged, ...objects],
    { show: false },
  )
  // Warnings may precede or follow it.
  const { output: text } = exported
  report('Rust', rustCalls(JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1))))
  return status
}

/** Functions by the line at which they begin: a generic one has several instances. */
function rustCalls({ data }: LlvmCoverage): Calls {
  const calls: Calls = new Map()
  for (const { count, filenames, regions } of data.flatMap(({ functions }) => functions)) {
    const source = relative(ROOT, filenames[0] ?? '')
    const line = regions[0]?.[0] ?? 0
    if (!/^crates\/\w+\/src\//.test(source)) continue
    addCall(calls, { source, name: functionAt(source, line), count })
  }
  return calls
}

function functionAt(source: string, line: number): string {
  const text = readFileSync(join(ROOT, source), 'utf8').split('\n')[line - 1] ?? ''
  return `${/\bfn (\w+)/.exec(text)?.[1] ?? 'closure'}:${line}`
}

async function llvmTools(): Promise<string> {
  const { output } = await run('rustc', ['--print', 'target-libdir'], { show: false })
  return join(output.trim(), '../bin')
}

async function main(files: readonly string[]): Promise<number> {
  if (!(await build())) return 1
  rmSync(OUTPUT, { recursive: true, force: true })
  const status = await coverTypeScript(files)
  if (files.length > 0) return status
  const obstacle = (await cargoObstacle()) ?? (await llvmObstacle())
  if (obstacle === undefined) return status | (await coverRust())
  console.log(`Rust is not measured: ${obstacle}`)
  return status
}

async function llvmObstacle(): Promise<string | undefined> {
  if (existsSync(join(await llvmTools(), 'llvm-cov'))) return undefined
  return 'llvm-cov is missing (rustup component add llvm-tools)'
}

if (isMain(import.meta.url)) process.exitCode = await main(process.argv.slice(2))
