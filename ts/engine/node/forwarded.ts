/** Parses the field `Forwarded` (RFC 7239 section 4). */

/** One element of the field: what one proxy reports about the sender of the request. */
export interface ForwardedElement {
  readonly for?: string
  readonly host?: string
  readonly proto?: string
}

// A name, then a token or a quoted string without escapes. The token also allows `:`, `[` and `]`,
// because some proxies omit the quotes around addresses.
const PAIR =
  /^[ \t]*(?:([!#$%&'*+\-.^_`|~\w]+)=(?:"([^"\\]*)"|([!#$%&'*+\-.^_`|~\w:[\]/]+)))?[ \t]*([;,]|$)/

/**
 * Returns the elements of a field value, or undefined if it is malformed: an unclosed quote would
 * swallow the elements that a trusted proxy has appended.
 */
export function parseForwarded(value: string): ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = []
  let element: Record<string, string> = {}
  let rest = value
  for (;;) {
    const found = PAIR.exec(rest)
    if (found === null) return undefined
    const [all, name, quoted, token, separator] = found
    if (name !== undefined) {
      const key = name.toLowerCase()
      if (Object.hasOwn(element, key)) return undefined
      element[key] = quoted ?? token ?? ''
    }
    if (separator !== ';') {
      // Empty list elements are ignored (RFC 9110 section 5.6.1.2).
      if (Object.keys(element).length > 0) elements.push(element)
      element = {}
    }
    if (separator === '') return elements
    rest = rest.slice(all.length)
  }
}
