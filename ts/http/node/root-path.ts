/**
 * Takes the root path off a request's URL and shows it in the properties that Express and similar
 * routers read.
 */

/** The properties of a request that show its root path. */
export interface MountedRequest {
  url?: string | undefined
  /** The root path, as Express's router sets it. */
  baseUrl?: string
  /** The URL as the client sent it. */
  originalUrl?: string
}

/**
 * Takes `rootPath` off the path of `url`, which keeps at least a slash. The engine has checked that
 * the path starts with it.
 */
export function applyRootPath(request: MountedRequest, rootPath: string): void {
  const whole = request.url ?? ''
  const start = findPathStart(whole)
  const rest = whole.slice(start + rootPath.length)
  request.originalUrl = whole
  request.baseUrl = rootPath
  request.url = whole.slice(0, start) + (rest.startsWith('/') ? rest : `/${rest}`)
}

/**
 * The index of the path in a request target: 0, or the end of the authority in absolute form (RFC
 * 9112 section 3.2.2).
 */
export function findPathStart(target: string): number {
  if (target.startsWith('/')) return 0
  const authority = target.indexOf('://') + 3
  const length = target.slice(authority).search(/[/?#]/)
  return length < 0 ? target.length : authority + length
}
