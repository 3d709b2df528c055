/** Replaces methods on node's prototypes of requests, responses and servers. */
import { installRequestMethods } from './request.ts'
import { installResponseMethods } from './response.ts'
import { installServerMethods } from './server.ts'

/**
 * Replaces the methods once. Call it before the application loads, so that what the application
 * patches wraps ours.
 */
export function installMethods(): void {
  installRequestMethods()
  installResponseMethods()
  installServerMethods()
}
