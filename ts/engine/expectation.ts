/** Requests that ask for more than an answer: `Expect` (RFC 9110 section 10.1.1), Upgrade and CONNECT. */
import { CLOSE, CONNECTION, DATE, type Exchange, LENGTH } from './exchange.ts'

const EXPECT = 'expect'
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i

/** What a request expects, if it says so. */
export function expectationOf(rawHeaders: readonly string[]): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === EXPECT.length && name.toLowerCase() === EXPECT) return rawHeaders[i + 1]
  }
  return undefined
}

/** Whether it is 100 Continue, by node's own rule. */
export function expectsContinue(expectation: string): boolean {
  return CONTINUE.test(expectation)
}

/**
 * Does what node does for a server without listeners for such requests. Returns whether it is to be answered as any
 * other.
 */
export function meetUnheard(exchange: Exchange): boolean {
  if (exchange.upgrade && exchange.method === 'CONNECT') {
    exchange.connection.destroy()
    return false
  }
  if (!exchange.expects) return true
  if (expectsContinue(expectationOf(exchange.rawHeaders()) ?? '')) {
    exchange.inform(100, undefined, '')
    return true
  }
  const flags = DATE | CONNECTION | LENGTH | CLOSE
  exchange.respond(417, undefined, '', flags, undefined, 'latin1')
  return false
}
