/** Replaces node's methods by ours, once; before the application loads, so that what it patches wraps them. */
import { installRequestMethods } from './request.ts'
import { installResponseMethods } from './response.ts'
import { installServerMethods } from './server.ts'

export function installMethods(): void {
  installRequestMethods()
  installResponseMethods()
  installServerMethods()
}
