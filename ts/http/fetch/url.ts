/** The absolute URL of a request, as `Request.url` shows it, without parsing one where nothing needs it. */

/** A target that a URL parser would leave as it is: no dot segments, nothing to encode, no fragment. */
const PLAIN_TARGET = /^\/[\w\-.~!$&()*+,;=:@%/?]*$/
const DOT_SEGMENT = /\/\.|\/%2e/i

/** The origins of Host values that have been looked at; clients send few, and the bound is for those that do not. */
const MAX_ORIGINS = 256
const origins = new Map<string, string | undefined>()

/** The URL, or undefined when host and target make none: the request is bad then. */
export function absoluteUrl(
  encrypted: boolean,
  host: string | undefined,
  target: string,
): string | undefined {
  const scheme = encrypted ? 'https' : 'http'
  // Without a host (HTTP/1.0) there is still a URL; the name is one that every machine has.
  const origin = originOf(scheme, host ?? 'localhost')
  if (origin === undefined) return undefined
  if (PLAIN_TARGET.test(target) && !DOT_SEGMENT.test(target)) return origin + target
  return parsed(target.startsWith('/') ? origin + target : target, origin)
}

function originOf(scheme: string, host: string): string | undefined {
  const key = scheme + host
  if (origins.has(key)) return origins.get(key)
  // A Host value is an authority and nothing more: `a/b` or `user@a` must not become part of the URL.
  const url = /^[^/?#@\\\s]+$/.test(host) ? parse(`${scheme}://${host}`) : undefined
  const origin = url === undefined ? undefined : `${scheme}://${url.host}`
  if (origins.size < MAX_ORIGINS) origins.set(key, origin)
  return origin
}

/** Absolute form (`GET http://a/b`) wins over Host; `*` and CONNECT's authority have no path to show. */
function parsed(text: string, origin: string): string | undefined {
  const url = parse(text)
  if (url === undefined || !/^https?:$/.test(url.protocol)) return `${origin}/`
  url.hash = ''
  return url.href
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
