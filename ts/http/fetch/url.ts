/** The absolute URL of a request, as `Request.url` shows it, without parsing one where nothing needs it. */

/** A target that a URL parser would leave as it is: no dot segments, nothing to encode, no fragment. */
const PLAIN_TARGET = /^\/[\w\-.~!$&()*+,;=:@%/?]*$/
const DOT_SEGMENT = /\/\.|\/%2e/i

/** The origins of Host values that have been looked at; clients send few, and the bound is for those that do not. */
const MAX_ORIGINS = 256

class OriginCache {
  readonly #scheme: string
  readonly #known = new Map<string, string | undefined>()
  #lastHost: string | undefined
  #lastOrigin: string | undefined

  constructor(scheme: string) {
    this.#scheme = scheme
  }

  /** Most requests name the host that the one before named, and comparing costs less than a look into the map. */
  find(host: string): string | undefined {
    if (host !== this.#lastHost) {
      this.#lastOrigin = this.#parseHost(host)
      this.#lastHost = host
    }
    return this.#lastOrigin
  }

  #parseHost(host: string): string | undefined {
    if (this.#known.has(host)) return this.#known.get(host)
    // A Host value is an authority and nothing more: `a/b` or `user@a` must not become part of the URL.
    const url = /^[^/?#@\\\s]+$/.test(host) ? parseUrl(`${this.#scheme}://${host}`) : undefined
    const origin = url === undefined ? undefined : `${this.#scheme}://${url.host}`
    if (this.#known.size < MAX_ORIGINS) this.#known.set(host, origin)
    return origin
  }
}

const httpOrigins = new OriginCache('http')
const httpsOrigins = new OriginCache('https')

/** The URL, or undefined when host and target make none: the request is bad then. */
export function absoluteUrl(
  encrypted: boolean,
  host: string | undefined,
  target: string,
): string | undefined {
  // Without a host (HTTP/1.0) there is still a URL; the name is one that every machine has.
  const origin = (encrypted ? httpsOrigins : httpOrigins).find(host ?? 'localhost')
  if (origin === undefined) return undefined
  if (PLAIN_TARGET.test(target) && !DOT_SEGMENT.test(target)) return origin + target
  return normalizeUrl(target.startsWith('/') ? origin + target : target, origin)
}

/** Absolute form (`GET http://a/b`) wins over Host; `*` and CONNECT's authority have no path to show. */
function normalizeUrl(text: string, origin: string): string | undefined {
  const url = parseUrl(text)
  if (url === undefined || !url.pathname.startsWith('/')) return `${origin}/`
  // A resource of another scheme (`GET ftp://a/b`, asked of a proxy) is shown below ours: a Request knows no other.
  if (!/^https?:$/.test(url.protocol))
    return normalizeUrl(origin + url.pathname + url.search, origin)
  // No field of a request may have them (RFC 9110 section 4.2.4), and a Request takes none.
  if (url.username !== '' || url.password !== '') return undefined
  url.hash = ''
  return url.href
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
