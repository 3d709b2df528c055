/**
 * Reads the header fields that a `Response` gets as a plain object, without creating native
 * `Headers`.
 */

export type FieldPair = readonly [name: string, value: string]

const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\w]+$/
/**
 * Latin-1 without control characters, and without the white space around it that native `Headers`
 * trim.
 */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/**
 * Returns the fields as native `Headers` would list them: sorted, with names in lower case. `type`
 * is the Content-Type if none is given. Returns undefined for anything else, which native `Headers`
 * must accept or refuse.
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
