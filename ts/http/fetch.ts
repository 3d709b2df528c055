/** Fetch style: an application that takes a `Request` and returns a `Response`. */

import type { Exchange, ExchangeHandler, ExchangeOwner } from '../engine/exchange.ts'
import { CONNECTION, DATE, LENGTH, NO_BODY } from '../engine/exchange.ts'
import { logThrown } from '../log/log-lines.ts'
import type { RequestBody } from './fetch/body.ts'
import { RequestBody as Body } from './fetch/body.ts'
import { FetchContext, FetchEnvironment } from './fetch/environment.ts'
import { installFetchGlobals } from './fetch/globals.ts'
import type { IncomingRequest } from './fetch/request.ts'
import { LazyRequest } from './fetch/request.ts'
import type { LazyHeaders } from './fetch/request-headers.ts'
import type { OutgoingResponse } from './fetch/send.ts'
import { sendResponse } from './fetch/send.ts'
import { absoluteUrl } from './fetch/url.ts'
import { connectionReset, notAResponse } from './node/errors.ts'

/** What Hono, h3, Deno, Bun and Cloudflare style applications export as `fetch`. */
export type FetchFunction = (
  request: Request,
  env?: unknown,
  context?: unknown,
) => Response | Promise<Response>

/** Where the errors of a fetch function are said. */
export interface FetchLog {
  exception(text: string, thrown: unknown): void
}

const PLAIN_TEXT = 'content-type: text/plain;charset=UTF-8\r\n'

/** Serves a fetch function. */
export function createFetchHandler(fetch: FetchFunction, log: FetchLog): ExchangeHandler {
  installFetchGlobals()
  return new FetchHandler(fetch, log)
}

class FetchHandler implements ExchangeHandler {
  readonly #fetch: FetchFunction
  readonly #log: FetchLog
  readonly #context: FetchContext

  constructor(fetch: FetchFunction, log: FetchLog) {
    this.#fetch = fetch
    this.#log = log
    this.#context = new FetchContext((thrown) =>
      logThrown(log, { name: 'waitUntilRejected', thrown }),
    )
  }

  onExchange(exchange: Exchange): void {
    const url = absoluteUrl(exchange.connection.encrypted, exchange.host, exchange.url)
    if (url === undefined) {
      sendError(exchange, 400, 'Bad Request')
      return
    }
    const fetchExchange = new FetchExchange(exchange, url)
    exchange.owner = fetchExchange
    const request = new LazyRequest(fetchExchange) as unknown as Request
    let answer: Response | Promise<Response>
    // Fetch applications expect that a throw costs one answer and never the process.
    try {
      answer = this.#fetch(request, new FetchEnvironment(exchange), this.#context)
    } catch (thrown) {
      this.#fail(fetchExchange, thrown)
      return
    }
    // Whatever else it is may be a promise that is not of the language's own kind.
    if (answer instanceof Response) this.#send(fetchExchange, answer)
    else this.#sendWhenResolved(fetchExchange, answer)
  }

  async #sendWhenResolved(
    fetchExchange: FetchExchange,
    answer: Response | Promise<Response>,
  ): Promise<void> {
    try {
      this.#send(fetchExchange, await answer)
    } catch (thrown) {
      this.#fail(fetchExchange, thrown)
    }
  }

  #send(fetchExchange: FetchExchange, response: Response): void {
    if (fetchExchange.isAborted || fetchExchange.exchange.ended) {
      response?.body?.cancel().catch(() => {})
      return
    }
    let streaming: Promise<void> | undefined
    fetchExchange.body?.noteResponse()
    try {
      streaming = sendResponse(fetchExchange, toResponse(response))
    } catch (thrown) {
      this.#fail(fetchExchange, thrown)
      return
    }
    fetchExchange.isHeadSent = true
    streaming?.catch((thrown: unknown) => {
      if (fetchExchange.isAborted) return
      logThrown(this.#log, { name: 'responseBodyFailed', thrown }, describeRequest(fetchExchange))
      fetchExchange.exchange.reset()
    })
  }

  #fail(fetchExchange: FetchExchange, thrown: unknown): void {
    if (fetchExchange.isAborted) return
    logThrown(this.#log, { name: 'requestFailed', thrown }, describeRequest(fetchExchange))
    fetchExchange.onThrown()
  }
}

/** One exchange with a fetch function. */
class FetchExchange implements ExchangeOwner, IncomingRequest, OutgoingResponse {
  readonly exchange: Exchange
  readonly url: string
  isAborted = false
  /** The head of the answer has gone. */
  isHeadSent = false
  headers: LazyHeaders | undefined = undefined
  native: Request | undefined = undefined
  body: RequestBody | undefined = undefined
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined = undefined
  // Nobody but this file sees them, and a private field would cost each call its making.
  controller: AbortController | undefined = undefined
  onRoom: (() => void) | undefined = undefined

  constructor(exchange: Exchange, url: string) {
    this.exchange = exchange
    this.url = url
  }

  signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.isAborted) this.controller.abort()
    }
    return this.controller.signal
  }

  waitForRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.onRoom = resolve
    })
  }

  onData(chunk: Buffer): void {
    this.body ??= new Body(this.exchange)
    this.body.onData(chunk)
  }

  onEnd(): void {
    this.body ??= new Body(this.exchange)
    this.body.onEnd()
  }

  onDrain(): void {
    this.onRoom?.()
    this.onRoom = undefined
  }

  onThrown(): void {
    const { exchange } = this
    if (this.isAborted || exchange.ended) return
    if (this.isHeadSent) exchange.reset()
    else sendError(exchange, 500, 'Internal Server Error')
  }

  onAborted(): void {
    this.isAborted = true
    const reason = connectionReset()
    this.body?.fail(reason)
    this.controller?.abort()
    this.reader?.cancel(reason).catch(() => {})
    this.onDrain()
  }
}

/** What a fetch function has answered with; of a response of another make, a polyfill's, native looks at every part. */
function toResponse(value: unknown): Response {
  if (value instanceof Response) return value
  const isLikeOne =
    typeof value === 'object' && value !== null && 'status' in value && 'headers' in value
  if (!isLikeOne) throw notAResponse(value)
  const { body, status, statusText, headers } = value as Response
  return new Response(body, { status, statusText, headers })
}

function describeRequest({ exchange }: FetchExchange): string {
  return `${exchange.method} ${exchange.url}`
}

function sendError(exchange: Exchange, status: number, text: string): void {
  const flags = DATE | CONNECTION | LENGTH | (exchange.method === 'HEAD' ? NO_BODY : 0)
  exchange.respond(status, undefined, PLAIN_TEXT, flags, text, 'utf8')
}
