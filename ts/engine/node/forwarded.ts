/** The field `Forwarded` (RFC 7239 section 4). */

/** What one proxy says of whom it got the request from. */
export interface ForwardedElement {
  readonly for?: string
  readonly host?: string
  readonly proto?: string
}

// A name, and a token or a quoted string without an escape; proxies write addresses without the quotes they need.
const PAIR =
  /^[ \t]*(?:([!#$%&'*+\-.^_`|~\w]+)=(?:"([^"\\]*)"|([!#$%&'*+\-.^_`|~\w:[\]/]+)))?[ \t]*([;,]|$)/

/**
 * The elements of a value, or undefined when it is malformed: a quote that does not end would swallow what a trusted proxy
 * has added behind it.
 */
export function parseForwarded(value: string): ForwardedElement[] | undefined {
  const elements: ForwardedElement[] = []
  let element: Record<string, string> = {}
  let rest = value
  for (;;) {
    const found = PAIR.exec(rest)
    if (found === null) return undefined
    const [all, name, quoted, token, behind] = found
    if (name !== undefined) {
      const key = name.toLowerCase()
      if (Object.hasOwn(element, key)) return undefined
      element[key] = quoted ?? token ?? ''
    }
    if (behind !== ';') {
      // An empty one counts for nothing (RFC 9110 section 5.6.1.2).
      if (Object.keys(element).length > 0) elements.push(element)
      element = {}
    }
    if (behind === '') return elements
    rest = rest.slice(all.length)
  }
}
