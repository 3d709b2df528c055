/**
 * The kinds of value that settings have, and the functions that combine them. A kind checks a
 * value, converts text from the command line or the environment, and describes the value for help,
 * docs and error messages.
 */
import * as z from 'zod/mini'

// These have no flags, since a pattern in a JSON schema cannot have any.
const BYTES = /^(\d+(?:\.\d+)?)\s*([kKmMgG])?(?:[iI]?[bB])?$/
const OCTAL = /^(0o?)?[0-7]+$/

export interface ValueKind<Out = unknown, In = unknown> {
  /**
   * Checks a value and completes it. Its input type is the type in the config file, and its JSON
   * schema describes that input.
   */
  readonly schema: z.ZodMiniType<Out, In>
  /** The allowed values, as the end of the sentence "SETTING must be ...". */
  readonly allowed: string
  readonly unit?: 'seconds' | 'bytes'
  /** The placeholder for the value in --help, as in `--workers N`; empty for a switch. */
  readonly placeholder: string
  /**
   * Converts text to the input of the schema. Invalid text stays text, which the schema rejects.
   */
  readonly fromText: (text: string) => unknown
  /** Returns the value as --print-config shows it. Without this function it is JSON. */
  toText?(value: Out): string
  /** Replaces the JSON schema that is derived from `schema`, where that cannot express it. */
  readonly json?: object
  /** Set for a list: the flag may be repeated, and each occurrence adds an item. */
  readonly list?: {
    readonly environmentSeparator: string
    /** Returns the first invalid item of a rejected value, with the problem if it is known. */
    readonly findInvalidItem: (value: unknown) => { value: unknown; problem?: string } | undefined
  }
  /** The value of a flag that is given without one. Without this field the flag needs a value. */
  readonly bareFlagValue?: string
  /**
   * The flag takes a value only as `--flag=value`, like Node's own flags. After `--flag` alone, the
   * next argument is the application.
   */
  readonly requiresEqualsSign?: true
  /** Valid words, for the suggestion "did you mean ...?". */
  readonly words?: readonly string[]
  /** Returns why a text is rejected, if there is a better reason than `allowed`. */
  readonly problem?: (text: string) => string | undefined
  /** Translates a word of Gunicorn into a valid value; a warning reports the translation. */
  readonly translate?: (value: string) => string | undefined
}

/** The longest time of a timer in Node, 2^31 - 1 ms, in seconds. */
const MAX_SECONDS = 2_147_483
/** The largest count in the native engine, 2^32 - 1. */
export const MAX_COUNT = 4_294_967_295

/** Makes a kind for integers from `min` to `max`. */
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

/** Makes a kind for a limit that cannot be turned off: 0 and larger numbers mean `maximum`. */
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

/** Makes a kind for a time in seconds of at least `min`; fractions are allowed. */
export function secondsAtLeast(min: number): ValueKind<number, number> {
  return {
    schema: z.number().check(z.minimum(min), z.maximum(MAX_SECONDS)),
    allowed: `a number of seconds from ${min} to ${MAX_SECONDS}`,
    unit: 'seconds',
    placeholder: 'SECONDS',
    fromText: numberFromText,
  }
}

/** A time in seconds, 0 included. */
export const seconds = secondsAtLeast(0)

/** Makes a kind for a number of bytes, also as text with a unit: 64k, 10m, 1g (powers of 1024). */
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

/** A number of bytes without an upper bound. */
export const bytes = bytesUpTo(Number.MAX_SAFE_INTEGER)

/** A switch: true or false. */
export const bool: ValueKind<boolean, boolean> = {
  schema: z.boolean(),
  allowed: 'true or false (in the environment also 1, 0, yes, no, on, off)',
  placeholder: '',
  fromText: boolFromText,
}

/** Makes a kind for text that is not empty. */
export function text(placeholder = 'TEXT'): ValueKind<string, string> {
  return {
    schema: plainText.check(z.minLength(1)),
    allowed: 'a text that is not empty',
    placeholder,
    fromText: keepText,
    problem: nulProblem,
  }
}

/** Makes a kind for any text. */
export function textOrEmpty(placeholder: string): ValueKind<string, string> {
  return {
    schema: plainText,
    allowed: 'a text',
    placeholder,
    fromText: keepText,
    problem: nulProblem,
  }
}

// Paths, names and arguments are passed to the operating system, where NUL ends a string.
const plainText = z.string().check(z.refine((given) => nulProblem(given) === undefined))

function nulProblem(given: string): string | undefined {
  return given.includes('\0') ? 'a text must not contain NUL' : undefined
}

/** Makes a kind for one of several words. */
export function choice<const W extends string>(
  words: readonly W[],
  { bareFlagValue }: { bareFlagValue?: W } = {},
): ValueKind<W, W> {
  return {
    schema: z.enum(words),
    allowed: joinWithOr(words),
    placeholder: words.join('|'),
    fromText: (word) => word.toLowerCase(),
    words,
    bareFlagValue,
  }
}

/** The items of a list kind. */
export interface ListItem {
  readonly schema: z.ZodMiniType<string, string>
  readonly allowed: string
  /** Returns why a text is not a valid item. */
  readonly problem?: (text: string) => string | undefined
}

/** Makes a kind for a list of texts; a single text means a list of one item. */
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

/** Makes a kind for a list of any texts, separated by commas in the environment. */
export function textList(placeholder: string): ValueKind<string[], string | string[]> {
  const item = { schema: plainText, allowed: 'texts', problem: nulProblem }
  return list({ item, placeholder, separator: ',' })
}

/** Splits names that are separated by commas. */
export function splitNames(names: string): string[] {
  return names
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/** A file mode, in octal as in a shell. */
export const octal: ValueKind<number, number | string> = {
  ...integerOrText(0o7777, OCTAL),
  allowed: 'a file mode from 0 to 07777',
  placeholder: 'MODE',
  fromText: (given) => (OCTAL.test(given) ? Number.parseInt(given.replace('o', ''), 8) : given),
  toText: (mode) => (mode === 0 ? '0' : `0${mode.toString(8)}`),
}

/** An object; in the environment as JSON. */
export const jsonObject: ValueKind<Record<string, unknown>, Record<string, unknown>> = {
  schema: z.record(z.string(), z.unknown()),
  allowed: 'an object',
  placeholder: 'JSON',
  fromText: jsonFromText,
}

// An integer that may also be text in a config file. The schema only sees the converted number.
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

/** Makes a kind that also allows null, which means "not set". */
export function orNull<O, I>(kind: ValueKind<O, I>): ValueKind<O | null, I | null> {
  const json = kind.json === undefined ? undefined : { anyOf: [kind.json, { type: 'null' }] }
  return { ...kind, json, schema: z.nullable(kind.schema) }
}

/** Joins words for a sentence: `"a", "b" or "c"`. */
export function joinWithOr(words: readonly string[]): string {
  const quoted = words.map((word) => `"${word}"`)
  const last = quoted.pop() ?? ''
  return quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`
}

/** Converts text to a number; other text stays text. */
export function numberFromText(given: string): unknown {
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

function findInvalidItem(item: ListItem, values: readonly unknown[]) {
  const value = values.find((one) => !item.schema.safeParse(one).success)
  if (value === undefined) return undefined
  return { value, problem: typeof value === 'string' ? item.problem?.(value) : undefined }
}

/** Converts text to an object of JSON; other text stays text. */
export function jsonFromText(given: string): unknown {
  try {
    return given.startsWith('{') ? (JSON.parse(given) as unknown) : given
  } catch {
    // The schema rejects the text.
    return given
  }
}

/** Returns the text unchanged, for kinds whose values are text. */
export function keepText(given: string): unknown {
  return given
}
