/** The path under which an application is mounted, as Express and its like find it on a request. */

/** What of a request names its place. */
export interface MountedRequest {
  url?: string | undefined
  baseUrl?: string
  originalUrl?: string
}

/**
 * Takes the mount path out of `url`, which keeps a slash at least; Express's router begins at `baseUrl`. The engine has
 * made sure that the path of the target begins with it.
 */
export function applyRootPath(request: MountedRequest, prefix: string): void {
  const whole = request.url ?? ''
  const path = findPathStart(whole)
  const rest = whole.slice(path + prefix.length)
  request.originalUrl = whole
  request.baseUrl = prefix
  request.url = whole.slice(0, path) + (rest.startsWith('/') ? rest : `/${rest}`)
}

/** Where the path of a target begins: at once, or behind the authority of an absolute form. */
export function findPathStart(target: string): number {
  if (target.startsWith('/')) return 0
  const authority = target.indexOf('://') + 3
  const length = target.slice(authority).search(/[/?#]/)
  return length < 0 ? target.length : authority + length
}
