// What a binary requires of a machine, read from binaries that are made here: nothing but the
// tables that the loader reads.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { addonPath } from '../../../scripts/build.ts'
import {
  findFaults,
  isNewer,
  newestGlibc,
  readRequirements,
} from '../../../scripts/release/binary.ts'
import { PLATFORMS, type Platform } from '../../../scripts/release/platforms.ts'
import { needs } from '../../requirements.ts'

const ARM64 = 183
const glibc = platformOf('linux-arm64-gnu')
const musl = platformOf('linux-arm64-musl')
const mac = platformOf('darwin-arm64')

test('a binary that requires what every system of its platform has is fit for it', (t) => {
  const plain = elf({ libraries: ['libc.so.6'], versions: ['GLIBC_2.17'], symbols: ['napi_a'] })
  t.deepEqual(findFaults(plain, glibc), [])
  t.deepEqual(findFaults(elf({ libraries: ['libc.so'], symbols: ['memfd_create'] }), musl), [])
  t.deepEqual(findFaults(mach('/usr/lib/libSystem.B.dylib', 11), mac), [])
})

test('a binary that requires a newer glibc is unfit', (t) => {
  const binary = elf({ versions: ['GLIBC_2.4', 'GLIBC_2.28', 'GLIBC_2.9'] })
  t.deepEqual(findFaults(binary, glibc), ['it requires glibc 2.28, at most 2.17 is allowed'])
})

test('a symbol without a version is newer than the glibc of the linker', (t) => {
  const binary = elf({ versions: ['GLIBC_2.17'], symbols: ['gettid', 'napi_create_object'] })
  t.deepEqual(findFaults(binary, glibc), ['it requires gettid, which glibc 2.17 does not have'])
})

test('a weak symbol may be missing', (t) => {
  t.deepEqual(findFaults(elf({ symbols: ['statx'], isWeak: true }), glibc), [])
})

test('functions of V8 and libuv, and of a newer Node-API, are refused everywhere', (t) => {
  const symbols = ['uv_run', '_ZN2v87Isolate10GetCurrentEv', 'node_api_symbol_for']
  t.deepEqual(findFaults(elf({ symbols }), musl), [
    'it requires uv_run, which is not Node-API',
    'it requires _ZN2v87Isolate10GetCurrentEv, which is not Node-API',
    'it requires node_api_symbol_for, which Node-API 8 does not have',
  ])
})

test('a library that a system may lack is refused', (t) => {
  t.deepEqual(findFaults(elf({ libraries: ['libgcc_s.so.1'] }), glibc), [
    'it requires libgcc_s.so.1, which is not part of every glibc system',
  ])
  t.deepEqual(findFaults(mach('/opt/homebrew/lib/libssl.dylib', 11), mac), [
    'it requires /opt/homebrew/lib/libssl.dylib, which is not part of every macos system',
  ])
})

test('a binary of glibc is unfit for musl', (t) => {
  const binary = elf({ libraries: ['libc.so'], versions: ['GLIBC_2.17'] })
  t.deepEqual(findFaults(binary, musl), ['it requires GLIBC_2.17, which only glibc provides'])
})

test('a binary for another processor or system is unfit', (t) => {
  t.deepEqual(findFaults(elf({}), platformOf('linux-x64-gnu')), ['it is for arm64, expected x64'])
  t.deepEqual(findFaults(elf({}), mac), ['it is ELF, expected Mach-O'])
})

test('a binary for a newer macOS is unfit', (t) => {
  t.deepEqual(findFaults(mach('/usr/lib/libSystem.B.dylib', 12), mac), [
    'it requires macOS 12.0, at most 11.0 is allowed',
  ])
})

test('versions are compared by number', (t) => {
  t.true(isNewer('2.28', '2.4'))
  t.false(isNewer('2.2.5', '2.17'))
  t.false(isNewer('2.17', '2.17'))
  t.true(isNewer('2.3.4', '2.3'))
  t.is(newestGlibc(['GLIBC_2.9', 'GLIBC_2.17', 'GCC_3.0']), '2.17')
})

const addon = addonPath()
needs(
  'the addon',
  addon !== undefined,
  test,
)('the addon of this machine is read', (t) => {
  const { processor, libraries } = readRequirements(readFileSync(addon ?? ''))
  t.is(processor, process.arch)
  t.true(libraries.some((library) => /libc\.|libSystem/.test(library)))
})

test('a file that is no binary is refused', (t) => {
  t.throws(() => readRequirements(Buffer.alloc(100)), { message: /neither an ELF nor/ })
})

function platformOf(wanted: string): Platform {
  const found = PLATFORMS.find(({ name }) => name === wanted)
  if (found === undefined) throw new Error(`no platform ${wanted}`)
  return found
}

interface Contents {
  readonly libraries?: readonly string[]
  readonly versions?: readonly string[]
  /** Undefined symbols without a version. */
  readonly symbols?: readonly string[]
  readonly isWeak?: boolean
}

/** An ELF file for arm64 with these requirements and no code. */
function elf({ libraries = [], versions = [], symbols = [], isWeak = false }: Contents): Buffer {
  const texts = [...libraries, ...versions, ...symbols]
  const strings = Buffer.from(`\0${texts.map((text) => `${text}\0`).join('')}`, 'latin1')
  const at = (text: string) => strings.indexOf(`${text}\0`, 1, 'latin1')

  const dynamic = Buffer.alloc(16 * (libraries.length + 1))
  for (const [index, library] of libraries.entries()) {
    dynamic.writeBigUInt64LE(1n, index * 16)
    dynamic.writeBigUInt64LE(BigInt(at(library)), index * 16 + 8)
  }
  const required = Buffer.alloc(16 + 16 * versions.length)
  required.writeUInt16LE(versions.length, 2)
  required.writeUInt32LE(16, 8)
  for (const [index, version] of versions.entries()) {
    required.writeUInt32LE(at(version), 16 + index * 16 + 8)
    required.writeUInt32LE(index === versions.length - 1 ? 0 : 16, 16 + index * 16 + 12)
  }
  const table = Buffer.alloc(24 * symbols.length)
  for (const [index, symbol] of symbols.entries()) {
    table.writeUInt32LE(at(symbol), index * 24)
    table[index * 24 + 4] = (isWeak ? 2 : 1) << 4
  }
  // Types of sections: strings, the dynamic table, versions required, symbols, their versions.
  const sections: [type: number, contents: Buffer][] = [
    [3, strings],
    [6, dynamic],
    [0x6ffffffe, required],
    [11, table],
    [0x6fffffff, Buffer.alloc(2 * symbols.length)],
  ]
  const header = Buffer.alloc(64)
  header.writeUInt32BE(0x7f454c46, 0)
  header.writeUInt16LE(ARM64, 18)
  header.writeUInt16LE(64, 58)
  header.writeUInt16LE(sections.length, 60)
  const contents: Uint8Array[] = [header]
  let end = header.length
  const headers = sections.map(([type, content]) => {
    const section = Buffer.alloc(64)
    section.writeUInt32LE(type, 4)
    section.writeBigUInt64LE(BigInt(end), 24)
    section.writeBigUInt64LE(BigInt(content.length), 32)
    contents.push(content)
    end += content.length
    return section
  })
  header.writeBigUInt64LE(BigInt(end), 40)
  return Buffer.concat([...contents, ...headers])
}

/** A Mach-O file for arm64 that requires one library and a version of macOS. */
function mach(library: string, macos: number): Buffer {
  const header = Buffer.alloc(32)
  header.writeUInt32LE(0xfeedfacf, 0)
  header.writeUInt32LE(0x0100000c, 4)
  header.writeUInt32LE(2, 16)
  const load = Buffer.alloc(24 + library.length + 1)
  load.writeUInt32LE(0x0c, 0)
  load.writeUInt32LE(load.length, 4)
  load.writeUInt32LE(24, 8)
  load.write(library, 24, 'latin1')
  const oldest = Buffer.alloc(24)
  oldest.writeUInt32LE(0x32, 0)
  oldest.writeUInt32LE(24, 4)
  oldest.writeUInt32LE(macos << 16, 12)
  return Buffer.concat([header, load, oldest])
}
