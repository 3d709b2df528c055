/** Generates the Rust version of the wire format from `ts/engine/native/wire.ts`. */
import { readFileSync } from 'node:fs'

import * as wire from '../ts/engine/native/wire.ts'
import { docComment, grouped } from './gen-rust.ts'

const SOURCE = readFileSync(new URL('../ts/engine/native/wire.ts', import.meta.url), 'utf8')

/** Rust types of groups whose constants are not `u8`. */
const GROUP_TYPES: Readonly<Record<string, string>> = { RING_WORD: 'usize' }

/** Rust types of single constants that are not offsets or sizes (`usize`). */
const CONSTANT_TYPES: Readonly<Record<string, string>> = {
  NO_REASON: 'u32',
  SLOT_BITS: 'u32',
  SLOT_MASK: 'u32',
  BODY_KIND_MASK: 'u8',
}

/** Renders `crates/engine/src/bridge/wire.rs` in the format of rustfmt. */
export function rustWire(): string {
  const items = Object.entries(wire).sort(([a], [b]) => positionOf(a) - positionOf(b))
  return `//! The wire format between JavaScript and the I/O thread.
//!
//! Written by scripts/gen-wire.ts from ts/engine/native/wire.ts; \`npm run gen\` writes it again.

${items.map(([name, value]) => rustItem(name, value)).join('\n')}`
}

/** Position of a constant in wire.ts, which gives the order of the output. */
function positionOf(name: string): number {
  return SOURCE.indexOf(`export const ${name} =`)
}

function rustItem(name: string, value: unknown): string {
  if (typeof value === 'number') {
    const number = value === -1 ? 'u32::MAX' : grouped(value)
    return `${docOf(name)}pub const ${name}: ${CONSTANT_TYPES[name] ?? 'usize'} = ${number};\n`
  }
  if (Array.isArray(value)) {
    const texts = value.map((text) => `"${text}"`).join(', ')
    return `${docOf(name)}pub const ${name}: [&str; ${value.length}] = [${texts}];\n`
  }
  const type = GROUP_TYPES[name] ?? 'u8'
  const group = SOURCE.slice(SOURCE.indexOf(`export const ${name} = {`))
  const members = Object.entries(value as Readonly<Record<string, number>>).map(
    ([member, number]) => {
      const doc = docOf(member, { source: group, indent: '    ' })
      return `${doc}    pub const ${member}: ${type} = ${number};\n`
    },
  )
  return `${docOf(name)}pub mod ${name.toLowerCase()} {\n${members.join('')}}\n`
}

/** Renders the comment before a constant as a Rust doc comment. */
function docOf(name: string, { source = SOURCE, indent = '' } = {}): string {
  const pattern = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s*(?:export const ${name} =|${name}:)`)
  const comment = pattern.exec(source)?.[1]
  if (comment === undefined) throw new TypeError(`wire.ts has no comment on ${name}`)
  return docComment(comment.replace(/\s*\n\s*\* ?/g, ' ').trim(), indent)
}
