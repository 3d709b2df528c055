/**
 * The kinds of value that settings have: schema, how text from the command line or the environment becomes a value,
 * and the words that help, docs and refusals use. Rows of the table combine them.
 */
import * as z from 'zod/mini'

import { parseAddress } from '../listen/address.ts'
import { findInvalidAddress } from '../listen/address-list.ts'
import { availableCpus } from './cpus.ts'

/** The name of a header field (RFC 9110 section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/

// Without flags, which a JSON schema has no place for.
const BYTES = /^(\d+(?:\.\d+)?)\s*([kKmMgG])?(?:[iI]?[bB])?$/
const OCTAL = /^(0o?)?[0-7]+$/

export interface ValueKind<Out = unknown, In = unknown> {
  /** Checks a value and completes it; the type of the config file and the JSON schema come from its input side. */
  readonly schema: z.ZodMiniType<Out, In>
  /** Completes "must be ...". */
  readonly allowed: string
  readonly unit?: 'seconds' | 'bytes'
  /** What stands for the value in --help; empty for a switch. */
  readonly placeholder: string
  /** Text to what the schema checks; what is not of this kind stays text, and the schema refuses it. */
  readonly fromText: (text: string) => unknown
  /** The value as --print-config shows it, where that is not JSON. */
  toText?(value: Out): string
  /** For the JSON schema, where the schema itself is more than JSON can say. */
  readonly json?: object
  /** A flag of this kind may be repeated, and its values together make the list. */
  readonly list?: {
    readonly environmentSeparator: string
    /** The item that makes a refused value wrong, and why, where that is known. */
    readonly findInvalidItem: (value: unknown) => { value: unknown; problem?: string } | undefined
  }
  /** The flag's value may be left out: it then means this text. */
  readonly bareFlagValue?: string
  /** Only `--flag=value` gives such a flag a value, as in Node's own flags: what follows it is the application. */
  readonly requiresEqualsSign?: true
  /** The words to compare a wrong value with. */
  readonly words?: readonly string[]
  /** Words that will be values one day. */
  readonly plannedWords?: readonly string[]
  /** Why a text is refused, where there is more to say than what is allowed. */
  readonly problem?: (text: string) => string | undefined
  /** What a foreign word means here; taken with a warning. */
  readonly translate?: (value: string) => string | undefined
}

/** The largest number of seconds a timer of Node takes (2^31 - 1 ms). */
const MAX_SECONDS = 2_147_483
const MAX_WORKERS = 1024

const WORKER_CLASSES = ['auto', 'node', 'fetch']
const GUNICORN_WORKER_CLASSES = [
  'sync',
  'gthread',
  'eventlet',
  'gevent',
  'gevent_wsgi',
  'gevent_pywsgi',
  'tornado',
  'asgi',
]

/** The most that the native engine counts to. */
export const MAX_COUNT = 4_294_967_295

/** A whole number between two bounds. */
export function integer(
  min: number,
  max = Number.MAX_SAFE_INTEGER,
  placeholder = 'N',
): ValueKind<number, number> {
  const bounds = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
  return {
    schema: z.int().check(z.minimum(min), z.maximum(max)),
    allowed: `an integer ${bounds}`,
    unit: placeholder === 'BYTES' ? 'bytes' : undefined,
    placeholder,
    fromText: numberFromText,
  }
}

/** A limit that cannot be turned off: 0 and what is above the most mean the most. */
export function cappedLimit(maximum: number, unit?: 'bytes'): ValueKind<number, number> {
  return {
    schema: z.pipe(
      z.int().check(z.minimum(0)),
      z.transform((value) => (value === 0 ? maximum : Math.min(value, maximum))),
    ),
    allowed: 'an integer of 0 or more',
    unit,
    placeholder: unit === undefined ? 'N' : 'BYTES',
    fromText: numberFromText,
  }
}

/** A time; fractions are allowed. */
export function secondsAtLeast(min: number): ValueKind<number, number> {
  return {
    schema: z.number().check(z.minimum(min), z.maximum(MAX_SECONDS)),
    allowed: `a number of seconds from ${min} to ${MAX_SECONDS}`,
    unit: 'seconds',
    placeholder: 'SECONDS',
    fromText: numberFromText,
  }
}

/** A time that may be 0. */
export const seconds = secondsAtLeast(0)

/** A number of bytes, or text with a unit: 64k, 10m, 1g (powers of 1024). */
export function bytesUpTo(max: number): ValueKind<number, number | string> {
  const bounds = max === Number.MAX_SAFE_INTEGER ? 'of 0 or more' : `from 0 to ${max}`
  return {
    ...integerOrText(max, BYTES),
    allowed: `a number of bytes ${bounds}, with k, m or g for powers of 1024`,
    unit: 'bytes',
    placeholder: 'BYTES',
    fromText: bytesFromText,
  }
}

/** As many bytes as anybody likes. */
export const bytes = bytesUpTo(Number.MAX_SAFE_INTEGER)

/** A number of workers, or `auto`, which becomes the number of processors this process may use. */
export const workerCount: ValueKind<number, number | 'auto'> = {
  schema: z.pipe(
    z.union([z.int().check(z.minimum(0), z.maximum(MAX_WORKERS)), z.literal('auto')]),
    z.transform((value) => (value === 'auto' ? availableCpus() : value)),
  ),
  allowed: `an integer from 0 to ${MAX_WORKERS} or "auto"`,
  placeholder: 'N|auto',
  fromText: numberFromText,
}

/** On or off. */
export const bool: ValueKind<boolean, boolean> = {
  schema: z.boolean(),
  allowed: 'true or false (in the environment also 1, 0, yes, no, on, off)',
  placeholder: '',
  fromText: boolFromText,
}

/** Any text that is not empty. */
export function text(placeholder = 'TEXT'): ValueKind<string, string> {
  return {
    schema: plainText.check(z.minLength(1)),
    allowed: 'a text that is not empty',
    placeholder,
    fromText: keepText,
    problem: nulProblem,
  }
}

/** Any text. */
export function textOrEmpty(placeholder: string): ValueKind<string, string> {
  return {
    schema: plainText,
    allowed: 'a text',
    placeholder,
    fromText: keepText,
    problem: nulProblem,
  }
}

// Paths, names and arguments go to the system, where a text ends at a NUL.
const plainText = z.string().check(z.refine((given) => nulProblem(given) === undefined))

function nulProblem(given: string): string | undefined {
  return given.includes('\0') ? 'no text may hold a NUL' : undefined
}

/** One of a few words. */
export function choice<const W extends string, const L extends string = never>(
  words: readonly W[],
  { later = [], bareFlagValue }: { later?: readonly L[]; bareFlagValue?: W | L } = {},
): ValueKind<W, W> {
  return {
    schema: z.enum(words),
    allowed: joinWithOr(words),
    placeholder: words.join('|'),
    fromText: (word) => word.toLowerCase(),
    words,
    plannedWords: later,
    bareFlagValue,
  }
}

/** What a list holds. */
export interface ListItem {
  readonly schema: z.ZodMiniType<string, string>
  readonly allowed: string
  /** Why a text is not such an item. */
  readonly problem?: (text: string) => string | undefined
}

/** A list of texts; one text alone is a list of one. */
export function list({
  item,
  placeholder,
  separator,
  least = 0,
}: {
  item: ListItem
  placeholder: string
  separator: string
  least?: number
}): ValueKind<string[], string | string[]> {
  return {
    schema: z.union([
      z.array(item.schema).check(z.minLength(least)),
      z.pipe(
        item.schema,
        z.transform((one) => [one]),
      ),
    ]),
    allowed: item.allowed,
    placeholder,
    fromText: keepText,
    list: {
      environmentSeparator: separator,
      findInvalidItem: (value) => findInvalidItem(item, Array.isArray(value) ? value : [value]),
    },
  }
}

/** A list of any texts. */
export function textList(placeholder: string): ValueKind<string[], string | string[]> {
  const item = { schema: plainText, allowed: 'texts', problem: nulProblem }
  return list({ item, placeholder, separator: ',' })
}

/** An address to listen on. */
export const bindAddress: ListItem = {
  schema: z.string().check(z.refine((text) => addressProblem(text) === undefined)),
  allowed:
    'HOST, HOST:PORT, [IPV6]:PORT, :PORT, tcp://HOST:PORT (or http:// or https://), unix:PATH or fd://NUMBER',
  problem: addressProblem,
}

/** A variable for an environment. */
export const environmentEntry: ListItem = {
  schema: z.string().check(z.regex(/^[^=\0]+=[^\0]*$/)),
  allowed: 'KEY=VALUE',
}

/** How the application is called; the words of Gunicorn are translated. */
export const workerClass: ValueKind<string, string> = {
  schema: z
    .string()
    .check(z.refine((value) => WORKER_CLASSES.includes(value) || isModulePath(value))),
  allowed: `${joinWithOr(WORKER_CLASSES)}, or the path of a module (./adapter.js)`,
  placeholder: 'auto|node|fetch|MODULE',
  fromText: keepText,
  words: WORKER_CLASSES,
  translate: (value) => {
    const known = GUNICORN_WORKER_CLASSES.includes(value) || /^(egg:|gunicorn[.])/.test(value)
    return known || value.startsWith('uvicorn.') ? 'auto' : undefined
  },
}

/** Peers by their addresses. */
export const peerAddresses: ValueKind<string, string> = {
  schema: z.string().check(z.refine((list) => findInvalidAddress(list) === undefined)),
  allowed: 'IP addresses and networks (10.0.0.0/8) with commas between them, or *',
  placeholder: 'ADDRESSES',
  fromText: keepText,
}

/** A path of a URL. */
export const mountPath: ValueKind<string, string> = {
  schema: z.string().check(
    z.regex(/^[!-~]*$/),
    z.refine((path) => !/[?#\\]|\/\//.test(path)),
  ),
  allowed: 'a path such as /app',
  placeholder: 'PATH',
  fromText: keepText,
}

/** Names of header fields with a value each; in the environment as JSON. */
export const headerFieldValues: ValueKind<Record<string, string>, Record<string, string>> = {
  schema: z.record(z.string().check(z.regex(TOKEN)), z.string()),
  allowed: 'an object of header names and values',
  placeholder: 'JSON',
  fromText: jsonFromText,
}

/** Names of header fields with commas between them. */
export const headerFieldNames: ValueKind<string, string> = {
  schema: z
    .string()
    .check(z.refine((names) => splitNames(names).every((name) => TOKEN.test(name)))),
  allowed: 'header names with commas between them, or *',
  placeholder: 'NAMES',
  fromText: keepText,
}

/** The names of a list. */
export function splitNames(names: string): string[] {
  return names
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/** A file mode, octal as in a shell. */
export const octal: ValueKind<number, number | string> = {
  ...integerOrText(0o7777, OCTAL),
  allowed: 'a file mode from 0 to 07777',
  placeholder: 'MODE',
  fromText: (given) => (OCTAL.test(given) ? Number.parseInt(given.replace('o', ''), 8) : given),
  toText: (mode) => (mode === 0 ? '0' : `0${mode.toString(8)}`),
}

/** An object of texts. */
export const jsonObject: ValueKind<Record<string, unknown>, Record<string, unknown>> = {
  schema: z.record(z.string(), z.unknown()),
  allowed: 'an object',
  placeholder: 'JSON',
  fromText: jsonFromText,
}

// A number that people also write as text in a config file. When the schema sees it, it is a number.
function integerOrText(
  maximum: number,
  { source: pattern }: RegExp,
): Pick<ValueKind<number, number | string>, 'schema' | 'json'> {
  const schema = z.int().check(z.minimum(0), z.maximum(maximum))
  return {
    schema: schema as ValueKind<number, number | string>['schema'],
    json: {
      anyOf: [
        { type: 'integer', minimum: 0, maximum },
        { type: 'string', pattern },
      ],
    },
  }
}

/** The same kind, or null: not set. */
export function orNull<O, I>(kind: ValueKind<O, I>): ValueKind<O | null, I | null> {
  const json = kind.json === undefined ? undefined : { anyOf: [kind.json, { type: 'null' }] }
  return { ...kind, json, schema: z.nullable(kind.schema) }
}

/** Words as an enumeration: `"a", "b" or "c"`. */
export function joinWithOr(words: readonly string[]): string {
  const quoted = words.map((word) => `"${word}"`)
  const last = quoted.pop() ?? ''
  return quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`
}

function numberFromText(given: string): unknown {
  return /^[+-]?\d+(\.\d+)?$/.test(given.trim()) ? Number(given) : given
}

function bytesFromText(given: string): unknown {
  const match = BYTES.exec(given.trim())
  if (match === null) return numberFromText(given)
  const power = ['', 'k', 'm', 'g'].indexOf((match[2] ?? '').toLowerCase())
  return Math.round(Number(match[1]) * 1024 ** power)
}

function boolFromText(given: string): unknown {
  const word = given.trim().toLowerCase()
  if (['1', 'true', 'yes', 'on', 'y'].includes(word)) return true
  if (['0', 'false', 'no', 'off', 'n'].includes(word)) return false
  return given
}

function isModulePath(value: string): boolean {
  return /^[.]{0,2}[/]./.test(value) || /[.][cm]?[jt]s$/.test(value)
}

function addressProblem(text: string): string | undefined {
  const parsed = parseAddress(text)
  return parsed.kind === 'invalid' ? parsed.reason : undefined
}

function findInvalidItem(item: ListItem, values: readonly unknown[]) {
  const value = values.find((one) => !item.schema.safeParse(one).success)
  if (value === undefined) return undefined
  return { value, problem: typeof value === 'string' ? item.problem?.(value) : undefined }
}

function jsonFromText(given: string): unknown {
  try {
    return given.startsWith('{') ? (JSON.parse(given) as unknown) : given
  } catch {
    // The schema refuses it as it is.
    return given
  }
}

function keepText(given: string): unknown {
  return given
}
