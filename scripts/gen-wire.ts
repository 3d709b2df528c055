/** Writes the wire format of `ts/engine/native/wire.ts` in Rust, with the comments that it has there. */
import { readFileSync } from 'node:fs'

import * as wire from '../ts/engine/native/wire.ts'
import { docComment } from './gen-engine-settings.ts'

const SOURCE = readFileSync(new URL('../ts/engine/native/wire.ts', import.meta.url), 'utf8')

/** Groups whose numbers are no bytes. */
const GROUP_TYPES: Readonly<Record<string, string>> = { RING_WORD: 'usize' }

/** Numbers that are no offsets or sizes. */
const TYPES: Readonly<Record<string, string>> = {
  NO_REASON: 'u32',
  SLOT_BITS: 'u32',
  BODY_KIND_MASK: 'u8',
}

/** The text of `crates/engine/src/bridge/wire.rs`, as rustfmt leaves it. */
export function rustWire(): string {
  const items = Object.entries(wire).sort(([a], [b]) => placeOf(a) - placeOf(b))
  return `//! The wire format between JavaScript and the I/O thread.
//!
//! Written by scripts/gen-wire.ts from ts/engine/native/wire.ts; \`npm run gen\` writes it again.

${items.map(([name, value]) => rustItem(name, value)).join('\n')}`
}

function placeOf(name: string): number {
  return SOURCE.indexOf(`export const ${name} =`)
}

function rustItem(name: string, value: unknown): string {
  if (typeof value === 'number') {
    const number = value === -1 ? 'u32::MAX' : grouped(value)
    return `${docOf(name)}pub const ${name}: ${TYPES[name] ?? 'usize'} = ${number};\n`
  }
  if (Array.isArray(value)) {
    const texts = value.map((text) => `"${text}"`).join(', ')
    return `${docOf(name)}pub const ${name}: [&str; ${value.length}] = [${texts}];\n`
  }
  const type = GROUP_TYPES[name] ?? 'u8'
  const group = SOURCE.slice(SOURCE.indexOf(`export const ${name} = {`))
  const members = Object.entries(value as Readonly<Record<string, number>>).map(
    ([member, number]) =>
      `${docOf(member, { source: group, indent: '    ' })}    pub const ${member}: ${type} = ${number};\n`,
  )
  return `${docOf(name)}pub mod ${name.toLowerCase()} {\n${members.join('')}}\n`
}

/** The comment before a constant, as a comment of Rust. */
function docOf(name: string, { source = SOURCE, indent = '' } = {}): string {
  const place = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s*(?:export const ${name} =|${name}:)`)
  const comment = place.exec(source)?.[1]
  if (comment === undefined) throw new TypeError(`wire.ts has no comment on ${name}`)
  return docComment(comment.replace(/\s*\n \* ?/g, ' ').trim(), indent)
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '_')
}
