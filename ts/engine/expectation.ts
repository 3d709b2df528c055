/**
 * Requests that ask for more than a response: `Expect` (RFC 9110 section 10.1.1), Upgrade and
 * CONNECT.
 */
import { CLOSE, CONNECTION, DATE, type Exchange, LENGTH } from './exchange.ts'

const EXPECT = 'expect'
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i

/** Returns the value of the Expect field. */
export function expectationOf(rawHeaders: readonly string[]): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === EXPECT.length && name.toLowerCase() === EXPECT) return rawHeaders[i + 1]
  }
  return undefined
}

/** Returns whether the value contains 100-continue, by Node's own rule. */
export function expectsContinue(expectation: string): boolean {
  return CONTINUE.test(expectation)
}

/**
 * Does what Node does for such a request on a server without a listener for it. Returns whether the
 * request is then handled like any other.
 */
export function applyDefaultExpectation(exchange: Exchange): boolean {
  if (exchange.upgrade && exchange.method === 'CONNECT') {
    exchange.connection.destroy()
    return false
  }
  if (!exchange.expects) return true
  if (expectsContinue(expectationOf(exchange.rawHeaders()) ?? '')) {
    exchange.sendInterim(100, undefined, '')
    return true
  }
  const flags = DATE | CONNECTION | LENGTH | CLOSE
  exchange.respond(417, undefined, '', flags, undefined, 'latin1')
  return false
}
