/** The absolute URL of a request, as `Request.url` shows it. Most targets need no URL parser. */

/**
 * A target that a URL parser does not change if it has no dot segment: nothing to encode, no
 * fragment.
 */
const PLAIN_TARGET = /^\/[\w\-.~!$&()*+,;=:@%/?]*$/
const DOT_SEGMENT = /\/\.|\/%2e/i

/** The maximum number of Host values that are cached. Most clients send few different ones. */
const MAX_ORIGINS = 256

/** Caches the origin of each Host value. */
class OriginCache {
  readonly #scheme: string
  readonly #known = new Map<string, string | undefined>()
  #lastHost: string | undefined
  #lastOrigin: string | undefined

  constructor(scheme: string) {
    this.#scheme = scheme
  }

  /**
   * Returns the origin. Most requests have the host of the previous one, and comparing costs less
   * than the map.
   */
  find(host: string): string | undefined {
    if (host !== this.#lastHost) {
      this.#lastOrigin = this.#parseHost(host)
      this.#lastHost = host
    }
    return this.#lastOrigin
  }

  #parseHost(host: string): string | undefined {
    if (this.#known.has(host)) return this.#known.get(host)
    // A Host value is a host and a port: `a/b` or `user@a` must not become part of the URL.
    const url = /^[^/?#@\\\s]+$/.test(host) ? parseUrl(`${this.#scheme}://${host}`) : undefined
    const origin = url === undefined ? undefined : `${this.#scheme}://${url.host}`
    if (this.#known.size < MAX_ORIGINS) this.#known.set(host, origin)
    return origin
  }
}

const httpOrigins = new OriginCache('http')
const httpsOrigins = new OriginCache('https')

/** Returns the URL; undefined if host and target make no valid one, which is a bad request. */
export function absoluteUrl(
  encrypted: boolean,
  host: string | undefined,
  target: string,
): string | undefined {
  // A request of HTTP/1.0 may have no Host. Its URL gets a name that every machine has.
  const origin = (encrypted ? httpsOrigins : httpOrigins).find(host ?? 'localhost')
  if (origin === undefined) return undefined
  if (PLAIN_TARGET.test(target) && !DOT_SEGMENT.test(target)) return origin + target
  return normalizeUrl(target.startsWith('/') ? origin + target : target, origin)
}

/**
 * Parses a target in absolute form (`GET http://a/b`), which overrides Host. `*` and an authority
 * have no path.
 */
function normalizeUrl(text: string, origin: string): string | undefined {
  const url = parseUrl(text)
  if (url === undefined || !url.pathname.startsWith('/')) return `${origin}/`
  // Another scheme (`GET ftp://a/b`, for a proxy) gets our origin, since a Request allows only http
  // and https.
  if (!/^https?:$/.test(url.protocol))
    return normalizeUrl(origin + url.pathname + url.search, origin)
  // A client must not send credentials in a URL (RFC 9110 section 4.2.4), and a Request refuses
  // them.
  if (url.username !== '' || url.password !== '') return undefined
  url.hash = ''
  return url.href
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
