// Reads from a built binary what it requires of a machine: the processor, the libraries, and the
// newest version of each. `findFaults` compares that with the table of platforms, so that a build
// fails if a symbol is too new for the systems that the package is for.

import { GLIBC, MACOS, NODE_API, type Platform } from './platforms.ts'

export interface Requirements {
  readonly format: 'ELF' | 'Mach-O'
  readonly processor: string
  /** Names of the shared libraries. */
  readonly libraries: readonly string[]
  /** Versions of symbols such as `GLIBC_2.17`, without duplicates; of ELF only. */
  readonly versions: readonly string[]
  /** Symbols that no listed library must have: Node provides them, or the loader fails. */
  readonly unversioned: readonly string[]
  /** The oldest macOS that loads it; of Mach-O only. */
  readonly macos?: string
}

/** Libraries that each system has. Any other would have to be installed first. */
const LIBRARIES: Readonly<Record<Platform['system'], RegExp>> = {
  glibc: /^(?:lib(?:c|m|dl|pthread|rt|util)\.so\.\d|ld-linux-[\w-]+\.so\.\d)$/,
  musl: /^(?:libc\.so|libc\.musl-\w+\.so\.1|ld-musl-\w+\.so\.1)$/,
  macos: /^\/usr\/lib\/lib(?:System\.B|charset\.1|iconv\.2|resolv\.9)\.dylib$/,
}
const ELF_PROCESSORS: Readonly<Record<number, string>> = { 62: 'x64', 183: 'arm64' }
const MACH_PROCESSORS: Readonly<Record<number, string>> = {
  16777223: 'x64',
  16777228: 'arm64',
}

/** Lists what makes a binary unfit for its platform, one sentence each. */
export function findFaults(binary: Buffer, platform: Platform): string[] {
  const found = readRequirements(binary)
  const faults: string[] = []
  const format = platform.system === 'macos' ? 'Mach-O' : 'ELF'
  if (found.format !== format) faults.push(`it is ${found.format}, expected ${format}`)
  if (found.processor !== platform.processor) {
    faults.push(`it is for ${found.processor}, expected ${platform.processor}`)
  }
  for (const library of found.libraries) {
    if (!LIBRARIES[platform.system].test(library)) {
      faults.push(`it requires ${library}, which is not part of every ${platform.system} system`)
    }
  }
  const glibc = newestGlibc(found.versions)
  if (platform.system === 'glibc' && isNewer(glibc ?? '0', GLIBC)) {
    faults.push(`it requires glibc ${glibc}, at most ${GLIBC} is allowed`)
  }
  if (platform.system !== 'glibc' && found.versions.length > 0) {
    faults.push(`it requires ${found.versions.join(', ')}, which only glibc provides`)
  }
  if (found.macos !== undefined && isNewer(found.macos, MACOS)) {
    faults.push(`it requires macOS ${found.macos}, at most ${MACOS} is allowed`)
  }
  for (const symbol of found.unversioned) {
    const fault = faultOfSymbol(symbol, platform)
    if (fault !== undefined) faults.push(fault)
  }
  return faults
}

/** Finds the newest version of glibc among versions of symbols. */
export function newestGlibc(versions: readonly string[]): string | undefined {
  const numbers = versions.flatMap((version) => /^GLIBC_([\d.]+)$/.exec(version)?.[1] ?? [])
  return numbers.reduce<string | undefined>(
    (newest, version) => (newest === undefined || isNewer(version, newest) ? version : newest),
    undefined,
  )
}

/** Whether a version such as `2.28` is newer than another. */
export function isNewer(version: string, than: string): boolean {
  const [left, right] = [version, than].map((text) => text.split('.').map(Number))
  for (const [index, number] of (left ?? []).entries()) {
    const other = right?.[index] ?? 0
    if (number !== other) return number > other
  }
  return false
}

/** Only Node-API up to our version is stable; V8 and libuv differ between versions of Node. */
function faultOfSymbol(symbol: string, { system }: Platform): string | undefined {
  if (symbol.startsWith('node_api_')) {
    return `it requires ${symbol}, which Node-API ${NODE_API} does not have`
  }
  if (/^(?:uv_|_ZNK?2v8)/.test(symbol)) return `it requires ${symbol}, which is not Node-API`
  if (system !== 'glibc' || symbol.startsWith('napi_')) return undefined
  return `it requires ${symbol}, which glibc ${GLIBC} does not have`
}

export function readRequirements(binary: Buffer): Requirements {
  if (binary.length > 64 && binary.readUInt32BE(0) === 0x7f454c46) return readElf(binary)
  if (binary.length > 32 && binary.readUInt32LE(0) === 0xfeedfacf) return readMach(binary)
  throw new Error('the file is neither an ELF nor a 64-bit Mach-O binary')
}

interface Section {
  readonly type: number
  readonly offset: number
  readonly size: number
  /** Index of the section that this one refers to: its strings. */
  readonly link: number
}

/** Types of ELF sections: the dynamic table, the dynamic symbols and the versions required. */
const DYNAMIC = 6
const DYNAMIC_SYMBOLS = 11
const VERSIONS_REQUIRED = 0x6ffffffe
const SYMBOL_VERSIONS = 0x6fffffff

/** All binaries are of 64 bits and little-endian. */
function readElf(binary: Buffer): Requirements {
  const sections = readSections(binary)
  const find = (type: number) => sections.find((section) => section.type === type)
  const textOf = (section: Section, offset: number) =>
    readText(binary, (sections[section.link]?.offset ?? 0) + offset)

  const libraries: string[] = []
  const dynamic = find(DYNAMIC)
  for (const entry of entriesOf(dynamic, 16)) {
    const isLibrary = binary.readBigUInt64LE(entry) === 1n
    if (dynamic !== undefined && isLibrary) {
      libraries.push(textOf(dynamic, Number(binary.readBigUInt64LE(entry + 8))))
    }
  }
  return {
    format: 'ELF',
    processor: ELF_PROCESSORS[binary.readUInt16LE(18)] ?? `machine ${binary.readUInt16LE(18)}`,
    libraries,
    versions: readVersions(binary, find(VERSIONS_REQUIRED), textOf),
    unversioned: readUnversioned(binary, find(DYNAMIC_SYMBOLS), find(SYMBOL_VERSIONS), textOf),
  }
}

function readSections(binary: Buffer): Section[] {
  const table = Number(binary.readBigUInt64LE(40))
  const entrySize = binary.readUInt16LE(58)
  return Array.from({ length: binary.readUInt16LE(60) }, (_, index) => {
    const at = table + index * entrySize
    return {
      type: binary.readUInt32LE(at + 4),
      offset: Number(binary.readBigUInt64LE(at + 24)),
      size: Number(binary.readBigUInt64LE(at + 32)),
      link: binary.readUInt32LE(at + 40),
    }
  })
}

/** Offsets of the entries of a table with entries of one size. */
function entriesOf(section: Section | undefined, size: number): number[] {
  if (section === undefined) return []
  return Array.from({ length: section.size / size }, (_, index) => section.offset + index * size)
}

type TextOf = (section: Section, offset: number) => string

/** A list of libraries, each with a list of versions. Each entry has the distance to the next. */
function readVersions(binary: Buffer, section: Section | undefined, textOf: TextOf): string[] {
  if (section === undefined) return []
  const versions = new Set<string>()
  for (let at = section.offset, next = 1; next !== 0; at += next) {
    next = binary.readUInt32LE(at + 12)
    let entry = at + binary.readUInt32LE(at + 8)
    for (let count = binary.readUInt16LE(at + 2); count > 0; count -= 1) {
      versions.add(textOf(section, binary.readUInt32LE(entry + 8)))
      entry += binary.readUInt32LE(entry + 12)
    }
  }
  return [...versions].sort()
}

/** Undefined symbols without a version. A weak one may stay undefined, so it is left out. */
function readUnversioned(
  binary: Buffer,
  symbols: Section | undefined,
  versions: Section | undefined,
  textOf: TextOf,
): string[] {
  return entriesOf(symbols, 24).flatMap((entry, index) => {
    const isUndefined = binary.readUInt16LE(entry + 6) === 0
    const isGlobal = (binary[entry + 4] ?? 0) >> 4 === 1
    const version = versions === undefined ? 0 : binary.readUInt16LE(versions.offset + index * 2)
    if (symbols === undefined || !isUndefined || !isGlobal || version > 1) return []
    return [textOf(symbols, binary.readUInt32LE(entry))]
  })
}

/** Load commands of Mach-O: a library, and the oldest system in its two forms. */
const LIBRARY = 0x0c
const OLDEST_SYSTEM = 0x32
const OLDEST_MACOS = 0x24

function readMach(binary: Buffer): Requirements {
  const processor = binary.readUInt32LE(4)
  const libraries: string[] = []
  let macos: string | undefined
  let at = 32
  for (let count = binary.readUInt32LE(16); count > 0; count -= 1) {
    const command = binary.readUInt32LE(at)
    if (command === LIBRARY) libraries.push(readText(binary, at + binary.readUInt32LE(at + 8)))
    if (command === OLDEST_SYSTEM) macos = macVersion(binary.readUInt32LE(at + 12))
    if (command === OLDEST_MACOS) macos = macVersion(binary.readUInt32LE(at + 8))
    at += binary.readUInt32LE(at + 4)
  }
  return {
    format: 'Mach-O',
    processor: MACH_PROCESSORS[processor] ?? `processor ${processor}`,
    libraries,
    versions: [],
    unversioned: [],
    ...(macos === undefined ? {} : { macos }),
  }
}

function macVersion(value: number): string {
  return `${value >> 16}.${(value >> 8) & 0xff}`
}

function readText(binary: Buffer, offset: number): string {
  return binary.toString('latin1', offset, binary.indexOf(0, offset))
}
