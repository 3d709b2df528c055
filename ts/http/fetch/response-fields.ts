/** The fields that an application gives a `Response` as a plain object, without the `Headers` that native makes of it. */

export type FieldPair = readonly [name: string, value: string]

const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\w]+$/
/** Latin-1 without what no field may have, and without the white space round it that native takes away. */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/**
 * Name and value of each field as native's `Headers` would show them: names in lower case, in order. A `type` is added
 * where none is given. Undefined for whatever native has to look at, and to complain of.
 */
export function toFieldPairs(given: object, type: string | undefined): FieldPair[] | undefined {
  if (given === null || Object.getPrototypeOf(given) !== Object.prototype) return undefined
  const pairs: FieldPair[] = []
  let isTyped = type === undefined
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== 'string' || !FIELD_NAME.test(name) || !FIELD_VALUE.test(value))
      return undefined
    const lower = name.toLowerCase()
    if (lower === 'content-type') isTyped = true
    pairs.push([lower, value])
  }
  if (!isTyped) pairs.push(['content-type', type ?? ''])
  pairs.sort(byName)
  for (let i = 1; i < pairs.length; i++) if (pairs[i]?.[0] === pairs[i - 1]?.[0]) return undefined
  return pairs
}

function byName([a]: FieldPair, [b]: FieldPair): number {
  return a < b ? -1 : 1
}
