/** The requests that this process has in hand, asked of the native engine from any thread of it. */

import type { RequestInHand } from '../messages.ts'
import { native } from './index.ts'

/** The oldest first; empty where the engine is node's, which is blocked together with JavaScript. */
export function requestsInHand(): readonly RequestInHand[] {
  return native?.requestsInHand() ?? []
}
